"""Files of Stripe's as they come: results of Sigma's queries, and reports, row by row."""
