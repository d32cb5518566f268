"""Networks: log-mel segments to one logit per vocalization type."""
