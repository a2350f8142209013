"""Stage `select_pseudo_gt`: rank the candidates, keep the best, merge them into the training file."""
