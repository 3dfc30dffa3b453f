"""`python -m handlens` is `handlens`."""

import sys

from handlens.cli.main import main

sys.exit(main())
