-- Plans on hold whose end may be on its way to the provider: meanwhile nobody pays what they owe.
CREATE TABLE hold_ends (provider_subscription_id text PRIMARY KEY, asked_at {int} NOT NULL) {strict};
