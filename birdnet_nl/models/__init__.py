"""Networks for log-mel segments and for embeddings of whole recordings: one logit per vocalization type."""
