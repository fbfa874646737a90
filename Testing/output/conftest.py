import pytest
from output_case import make_analysis


@pytest.fixture
def analysis():
    return make_analysis()
