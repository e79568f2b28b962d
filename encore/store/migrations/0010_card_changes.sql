-- Requests to let another card pay for a plan. They charge nothing, unless the plan came to owe a moment before.
CREATE TABLE card_changes (
  id text PRIMARY KEY, subscription_id text NOT NULL, asked_at {int} NOT NULL, answered_at {int},
  provider_payment_id text, charged_payment_id text UNIQUE REFERENCES payments(id)
) {strict};
CREATE INDEX card_changes_of_subscription ON card_changes(subscription_id, asked_at);
