#include "registers/promises.hpp"

#include <algorithm>

namespace past {

using base::Guid;
using base::Result;
using base::Task;

namespace {

Guid record_key() { return base::sha256(base::as_bytes("pelago past promises")); }

}  // namespace

void Promises::load() {
    const auto record = context_.store.record(record_key());
    if (!record) return;
    auto stored = decode_stored_promises(*record);
    unreadable_ = !stored;
    if (stored) held_ = std::move(*stored);
}

Result<Ballot> Promises::of(const Guid& key) const {
    if (unreadable_) return base::Error{base::Errc::corrupt, "promises about registers"};
    const auto found = std::ranges::find(held_.entries, key, &StoredPromises::Entry::key);
    return found == held_.entries.end() ? held_.floor : std::max(held_.floor, found->ballot);
}

void Promises::release(const Guid& key) {
    std::erase_if(held_.entries, [&](const auto& entry) { return entry.key == key; });
}

Task<Result<void>> Promises::raise(Guid key, Ballot ballot) {
    const auto turn = co_await writing_.acquire();
    // In memory first: should the write fail, this node has promised more than it said, which harms nobody.
    release(key);
    auto& [floor, entries] = held_;
    if (entries.size() == kMaxPromises) {
        const auto older = entries.begin() + kMaxPromises / 2;
        for (auto entry = entries.begin(); entry != older; ++entry) floor = std::max(floor, entry->ballot);
        entries.erase(entries.begin(), older);
        context_.log(base::Log::Level::warning, "many promises about records that nobody wrote; {} are now one",
                     kMaxPromises / 2);
    }
    entries.push_back({key, ballot});
    auto bytes = encode_stored(held_);
    co_return co_await context_.store.put_record(record_key(), std::move(bytes));
}

}  // namespace past
