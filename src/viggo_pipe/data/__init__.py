"""Where rows come from: the Hub, own files, or the synthetic sample."""
