-- Cancellations that were withdrawn for a change of plan, or for its price: put back unless the change goes through.
CREATE TABLE ends_to_put_back (
  provider_subscription_id text PRIMARY KEY, noted_at {int} NOT NULL, due_at {int} NOT NULL
) {strict};
CREATE INDEX ends_to_put_back_due ON ends_to_put_back(due_at);
