"""`python -m sipgw`"""

import sys

from sipgw.management.cli import main

if __name__ == "__main__":
    sys.exit(main())
