"""Exercises and their grader: `attlas exercises` and `attlas grade`.

An exercise is one file, its *master*: theory, hints, the function with its solution between markers, and the mistakes
that the grader recognizes.

- `masters` finds and reads the masters, `copies` makes the student's copy of one;
- `child` runs a student's code in a process of its own, `process` talks to it;
- `draws` makes the calls of an exercise, `verdict` judges what the student's function returns for one, `search` looks
  for the smallest call that it gets wrong, `lawful` for a law that it breaks, `diagnosis` for the likely mistake;
- `grade` does all of this for one file, `report` says the result in text, JSON and JUnit.

The expected results are computed here, by the reference; the student's process receives inputs and returns arrays, and
there is nothing in it to be found. It is not a prison: it stops what a student may try in an evening, and code of
strangers wants a container besides.
"""
