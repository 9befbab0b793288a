// What this node promised for keys that have no value yet: all in one record, and never more than a page of it.
//
// Whoever may speak to us can ask for a promise about a key that nobody will ever write. Such a promise may not simply
// be forgotten: its asker may count on it. But it may be exchanged for a greater one. So when the page is full the
// older half of it is replaced by a single promise, the floor, that holds for every key without a value
// (docs/formats/register.md#promises).
#pragma once

#include "context.hpp"

namespace past {

class Promises {
  public:
    explicit Promises(Context& context) : context_{context}, writing_{context.env.executor, 1} {}

    /// base::Errc::corrupt: what was promised cannot be read, so that nothing may be promised or accepted.
    [[nodiscard]] base::Result<Ballot> of(const base::Guid& key) const;
    /// Durable when it returns. Requires: not below of(key).
    base::Task<base::Result<void>> raise(base::Guid key, Ballot ballot);
    /// The key has a value now, and its own record keeps the promise. Durable with the next raise().
    void release(const base::Guid& key);
    void load();

  private:
    Context& context_;
    base::Semaphore writing_;
    StoredPromises held_;
    bool unreadable_ = false;
};

}  // namespace past
