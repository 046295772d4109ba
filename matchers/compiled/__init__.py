"""What every kernel is made with: compilation and its cache, words, pools of memory, indices."""
