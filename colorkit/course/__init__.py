"""What the notebooks of the course use: exercises, checks, predictions."""

from colorkit.course.check import check
from colorkit.course.exercise import exercise
from colorkit.course.predict import predict, reveal
from colorkit.course.provenance import watch

watch()

__all__ = ["check", "exercise", "predict", "reveal"]
