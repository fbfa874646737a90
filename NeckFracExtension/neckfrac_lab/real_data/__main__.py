"""``python -m neckfrac_lab.real_data [FOLDER]``."""

import argparse
import sys
from pathlib import Path

from neckfrac.errors import InputError

from . import RAW, fetch

parser = argparse.ArgumentParser(prog="python -m neckfrac_lab.real_data", description="Fetch public CT to measure on.")
parser.add_argument("folder", nargs="?", type=Path, default=Path("real-data"), help="default: real-data")
parser.add_argument("--base", default=RAW, help="where the repositories lie, for a mirror; default: %(default)s")
options = parser.parse_args()
try:
    fetch(options.folder, base=options.base)
except InputError as error:
    print(f"neckfrac: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
