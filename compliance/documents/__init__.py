"""Documents of merchants that answer what Stripe requires: taken, checked, handed on, destroyed."""
