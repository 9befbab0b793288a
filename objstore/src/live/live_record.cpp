#include "live/live_record.hpp"

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/limits.hpp"

namespace objstore {
namespace {

constexpr std::uint8_t kFormat = 1;

base::Error malformed(const char* what) { return {base::Errc::bad_format, what}; }

}  // namespace

std::uint64_t root_mark(const BlockRef& root) {
    base::Reader in{root.id.view()};
    return in.u64();
}

void LiveRecord::remember(RecentUpdate update) {
    const auto writer = [](const RecentUpdate& one) { return one.id >> InodeNumbers::kCounterBits; };
    std::erase_if(recent, [&](const RecentUpdate& one) { return writer(one) == writer(update); });
    if (recent.size() == kRecentUpdates) recent.erase(recent.begin());
    recent.push_back(update);
}

Opaque LiveRecord::encode() const {
    base::Writer out;
    out.u8(kFormat).varint(next_slot).i64(time_ns);
    out.varint(counts.files).varint(counts.directories).varint(counts.bytes);
    out.varint(recent.size());
    for (const auto& update : recent) out.u64(update.id).u64(update.root);
    Opaque record;
    record.bytes = out.take();
    record.blocks.push_back(root);
    return record;
}

base::Result<LiveRecord> LiveRecord::decode(const Opaque& record) {
    base::Reader in{record.bytes};
    const auto format = in.u8();
    if (!in.ok()) return malformed("an empty live record");
    if (format != kFormat) return base::Error{base::Errc::unsupported, "a live tree of a later version"};
    LiveRecord out;
    const auto slot = in.varint();
    if (slot == 0 || slot > kMaxSlot) in.fail();
    out.next_slot = static_cast<std::uint32_t>(slot);
    out.time_ns = in.i64();
    out.counts.files = in.varint();
    out.counts.directories = in.varint();
    out.counts.bytes = in.varint();
    const auto updates = in.varint();
    if (updates > kRecentUpdates || !in.fits(updates, 16)) in.fail();
    for (std::uint64_t i = 0; in.ok() && i < updates; ++i) {
        RecentUpdate update;
        update.id = in.u64();
        update.root = in.u64();
        out.recent.push_back(update);
    }
    if (!in.complete() || record.blocks.size() != 1 || record.blocks.front() == nullptr) {
        return malformed("a live record that does not parse");
    }
    out.root = record.blocks.front();
    return out;
}

Opaque Conflict::encode() const {
    base::Writer out;
    out.u8(kFormat).u8(static_cast<std::uint8_t>(kind)).u64(directory).text(name).u64(winner).u64(kept).i64(time_ns);
    Opaque record;
    record.bytes = out.take();
    return record;
}

base::Result<Conflict> Conflict::decode(const Opaque& record) {
    base::Reader in{record.bytes};
    const auto format = in.u8();
    if (!in.ok()) return malformed("an empty conflict record");
    if (format != kFormat) return base::Error{base::Errc::unsupported, "a conflict of a later version"};
    Conflict out;
    out.kind = static_cast<ConflictKind>(in.u8());
    out.directory = in.u64();
    out.name = in.text(base::kMaxNameBytes);
    out.winner = in.u64();
    out.kept = in.u64();
    out.time_ns = in.i64();
    if (!in.complete() || !record.blocks.empty()) return malformed("a conflict record that does not parse");
    return out;
}

}  // namespace objstore
