"""How old evidence may be. Pure."""

from datetime import datetime, timedelta

# Evidence from further in the future than clocks differ is no evidence.
MAX_CLOCK_SKEW = timedelta(minutes=1)


def is_too_old(observed: datetime, as_of: datetime, max_age: timedelta) -> bool:
    """Whether evidence is older than allowed, or claims to come from the future."""
    age = as_of - observed
    return age > max_age or age < -MAX_CLOCK_SKEW
