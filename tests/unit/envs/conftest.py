import sys
from pathlib import Path

CONTRACTS = str(Path(__file__).parents[2] / "contracts")
if CONTRACTS not in sys.path:
    sys.path.insert(0, CONTRACTS)
