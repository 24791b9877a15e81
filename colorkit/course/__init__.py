"""What the notebooks of the course use: exercises, checks, predictions, sizes, numbers."""

from colorkit.course.check import check
from colorkit.course.exercise import exercise
from colorkit.course.predict import predict, reveal
from colorkit.course.profiles import settings
from colorkit.course.provenance import watch
from colorkit.course.recording import record, show_records

watch()

__all__ = ["check", "exercise", "predict", "record", "reveal", "settings", "show_records"]
