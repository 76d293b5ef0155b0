"""Frames: what goes around a phrase for the answers to make it a question, an order or a search; the same for every graph.

`{p}` stands for a plural phrase without article ("films directed by {x}"), `{n}` for a singular one ("the director of {x}").
"""

from __future__ import annotations

PLURAL = (
    "what are (the|some|all the|) {p}",
    "which are the {p}",
    "what (were|are) the {p}",
    "(name|list|give|find) (the|all|all the|some|) {p}",
    "(tell|show|give) me (the|all|all the|some|) {p}",
    "find me (the|all|all the|some|) {p}",
    "(can|could|would|will) you (name|list|find|give me|tell me) (the|all|all the|some|) {p}",
    "(please |)(list|name|tell me) (the|all|some|) {p}(, please|)",
    "(i want to|i would like to|i'd like to|help me) (know|find|see) (the|all the|some|) {p}",
    "do you know (the|any|some|) {p}",
    "give me a list of (the|all|) {p}",
    "i am looking for (the|some|) {p}",
    "(what|which) {p} (are there|do you know|can you name)",
    "(the|all|all the|) {p}",
    "what do you know about the {p}",
    "are there any {p}",
    "{p} are what",
)
PLURAL_PEOPLE = (
    "who are (the|some|all the|) {p}",
    "who were the {p}",
    "do you know who the {p} are",
    "(tell me|i want to know) who the {p} are",
)
SINGULAR = (
    "what (is|was) {n}",
    "(name|find|give) {n}",
    "(tell|show|give) me {n}",
    "(can|could|would) you (name|find|tell me|give me) {n}",
    "(i want to|i would like to|i'd like to) know {n}",
    "do you (happen to |)know {n}",
    "{n}",
    "{n} is what",
    "please (name|tell me) {n}",
)
SINGULAR_PEOPLE = (
    "who (is|was) {n}",
    "{n} is who",
    "do you know who {n} (is|was)",
    "(tell me|i want to know) who {n} (is|was)",
    "what is the name of {n}",
)
COUNT = (
    "how many {p} are there",
    "how many {p} (do you know|do we know|can you name)",
    "(count|number of) (the|all|) {p}",
    "what is the (number|count|total number) of {p}",
    "(tell|give) me (the number of|how many) {p}(| there are)",
    "how many are the {p}",
    "(can|could) you count (the|all the|) {p}",
)
BEST = (
    "what is the {adj} {one}",
    "which is the {adj} {one}",
    "(name|find|tell me|give me) the {adj} {one}",
    "the {adj} {one}",
    "which of the {p} is the {adj}(| one)",
    "(among|of|out of) the {p}, which is the {adj}(| one)",
    "(can|could) you (name|tell me) the {adj} {one}",
    "what is the {adj} of the {p}",
)
BEST_BY = (
    "which of the {p} (is the one |){best}",
    "what is the {one} {best}",
    "(name|find|tell me|give me) the {one} {best}",
    "(among|of|out of) the {p}, which is the one {best}",
    "the {one} {best}",
)
COMPARE = (
    "{ask}, {a} or {b}",
    "{ask}: {a} or {b}",
    "(of|between|out of) {a} and {b}, {ask}",
    "{a} or {b}, {ask}",
    "{a} and {b}: {ask}",
    "(tell me|i want to know) {ask}, {a} or {b}",
    "(compare|take) {a} and {b}: {ask}",
)
COMPARE_ADJECTIVE = ("is {a} or {b} {more}", "which of {a} and {b} is {more}", "which is {more}, {a} or {b}", "what is {more}: {a} or {b}")
AND = (" and ", " and ", " and also ", ", and ", " but also ")
EXCEPT = (
    "{left}, (except|but not|other than|apart from|leaving out|excluding|without) {right}",
    "{left} (except|but not|other than|apart from|excluding|without|minus) {right}",
    "{left} that are not (among |){right}",
)
OR = (" or ", " and ", " as well as ", " or else ")
