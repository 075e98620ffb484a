"""Connected accounts: what Stripe wants of them and lets them do, fetched through the gateway."""
