"""NeckFrac: finds cervical spine fractures on CT. Research use only; not a medical device."""

__version__ = "0.1.0"
DISCLAIMER = "Research use only; not a medical device."
