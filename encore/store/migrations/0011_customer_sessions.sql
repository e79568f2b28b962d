-- Hosted sessions that carry a customer's id: only a browser signed in to that customer's account is led to one.
CREATE TABLE customer_sessions (provider_session_id text PRIMARY KEY, customer_id text NOT NULL) {strict};
