import sys
from pathlib import Path

# study_rows.py holds the made-up rows of the experiments
sys.path.insert(0, str(Path(__file__).parent))
