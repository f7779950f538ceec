"""The catalogue as the Human Services Data Specification (HSDS 3.2.3) says it, both ways."""
