"""What the notebooks of the course use: exercises, checks, predictions, sizes, numbers."""

from colorcourse.checking import check
from colorcourse.exercises import exercise
from colorcourse.predictions import predict, reveal
from colorcourse.profiles import settings
from colorcourse.recording import record, show_records

__all__ = ["check", "exercise", "predict", "record", "reveal", "settings", "show_records"]
