"""Grounded answering: generation, strategies and their answers in words; no Ray, no HTTP.

Evaluation during training, `raykg evaluate`, `raykg ask` and the service all run the code of this room, so a number in a report
is a number about what a user gets.
"""
