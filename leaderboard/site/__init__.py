"""The site: static pages of scored rows, made from one JSON document; `understudy board` writes it."""
