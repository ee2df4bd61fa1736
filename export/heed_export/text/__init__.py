"""What there is to know of text and of languages without a model: words, scripts, language tags, Korean by rule."""
