"""The fixtures of `server.fixtures`; where the packages of the service are missing, its tests are left out."""

import importlib.util
import os
import warnings

NEEDED = ("fastapi", "httpx", "sqlalchemy", "prometheus_client", "python_multipart", "psycopg")

if os.environ.get("CI") == "true" or all(importlib.util.find_spec(name) for name in NEEDED):
    from server.fixtures import client, done, drawn, new_client, study_file  # noqa: F401
else:
    warnings.warn("The web service is not tested: pip install -e '.[service,test]'", stacklevel=1)
    collect_ignore_glob = ["test_*.py"]
