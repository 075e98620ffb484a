"""PaymentService: its handlers, the rules of its requests, its stream."""
