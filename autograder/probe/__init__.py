"""The only code of ours that shares a process with a student's: it runs their classes and writes down what comes out.

It knows no expected value. Inputs come from `autograder.inputs`, what it writes is read by `autograder.evidence`.
"""
