"""`python -m netalike.configuration [--fix]`."""

import sys

from netalike.configuration.generate import main

sys.exit(main())
