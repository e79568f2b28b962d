"""The pages of the twin: checkout, authentication, payment links, the customer portal, and the home of a QA person."""
