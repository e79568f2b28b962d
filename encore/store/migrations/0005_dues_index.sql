-- Whose a payment of a subscription is, and whether a change of it was just paid, is asked for each that is observed.
CREATE INDEX attempts_of_subscription ON attempts(subscription_id, kind) WHERE subscription_id IS NOT NULL;
