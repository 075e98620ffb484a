"""Tells a request that comes again from another one with its id, in all services of the gateway."""

from gateway.errors import ERRORS
from gateway.validation import VALIDATOR
from runtime.idempotency import RequestIds

REQUEST_IDS = RequestIds(ERRORS, VALIDATOR)
