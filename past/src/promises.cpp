#include "promises.hpp"

#include <algorithm>

#include "base/codec.hpp"

namespace past {

using base::Guid;
using base::Result;
using base::Task;

namespace {

constexpr std::uint8_t kPromises = 5;  // first byte of the record

Guid record_key() { return base::sha256(base::as_bytes("pelago past promises")); }

void put(base::Writer& out, const Ballot& ballot) { out.u64(ballot.counter).raw(ballot.nonce); }

Ballot get_ballot(base::Reader& in) {
    Ballot ballot;
    ballot.counter = in.u64();
    const auto nonce = in.raw(ballot.nonce.size());
    if (in.ok()) std::ranges::copy(nonce, ballot.nonce.begin());
    return ballot;
}

}  // namespace

base::Bytes Promises::encoded() const {
    base::Writer out;
    out.u8(kPromises);
    put(out, floor_);
    for (const auto& entry : entries_) {
        out.guid(entry.key);
        put(out, entry.ballot);
    }
    return out.take();
}

void Promises::load() {
    const auto record = context_.store.record(record_key());
    if (!record) return;
    base::Reader in{*record};
    unreadable_ = in.u8() != kPromises;
    floor_ = get_ballot(in);
    while (in.ok() && in.remaining() > 0) {
        const auto key = in.guid();
        entries_.push_back({key, get_ballot(in)});
    }
    if (!in.ok()) unreadable_ = true;
}

Result<Ballot> Promises::of(const Guid& key) const {
    if (unreadable_) return base::Error{base::Errc::corrupt, "promises about registers"};
    const auto found = std::ranges::find(entries_, key, &Entry::key);
    return found == entries_.end() ? floor_ : std::max(floor_, found->ballot);
}

void Promises::release(const Guid& key) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
}

Task<Result<void>> Promises::raise(Guid key, Ballot ballot) {
    const auto turn = co_await writing_.acquire();
    // In memory first: should the write fail, this node has promised more than it said, which harms nobody.
    release(key);
    entries_.push_back({key, ballot});
    if (entries_.size() > kMaxPromises) {
        const auto older = entries_.begin() + kMaxPromises / 2;
        for (auto entry = entries_.begin(); entry != older; ++entry) floor_ = std::max(floor_, entry->ballot);
        entries_.erase(entries_.begin(), older);
        context_.log(base::Log::Level::warning, "many promises about records that nobody wrote; {} are now one",
                     kMaxPromises / 2);
    }
    auto bytes = encoded();
    co_return co_await context_.store.put_record(record_key(), std::move(bytes));
}

}  // namespace past
