#include "objstore/snapshot.hpp"

#include <algorithm>
#include <cctype>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace objstore {
namespace {

constexpr std::uint8_t kFormat = 1;

bool all_within(std::span<const std::string> texts, std::size_t most) {
    return texts.size() <= most &&
           std::all_of(texts.begin(), texts.end(), [](const auto& text) { return text.size() <= kMaxSnapshotText; });
}

bool contains_all(const std::vector<std::string>& have, const std::vector<std::string>& wanted) {
    return std::all_of(wanted.begin(), wanted.end(),
                       [&](const auto& one) { return std::find(have.begin(), have.end(), one) != have.end(); });
}

void put_texts(base::Writer& out, const std::vector<std::string>& texts) {
    out.varint(texts.size());
    for (const auto& text : texts) out.text(text);
}

std::vector<std::string> read_texts(base::Reader& in, std::size_t most) {
    std::vector<std::string> out;
    const auto count = in.varint();
    if (count > most || !in.fits(count, 1)) {
        in.fail();
        return out;
    }
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) out.push_back(in.text(kMaxSnapshotText));
    return out;
}

// What the id covers, beside the first root.
base::Writer encode_named(const Snapshot& snapshot) {
    base::Writer out;
    out.u8(kFormat).text(snapshot.host).text(snapshot.user);
    put_texts(out, snapshot.paths);
    put_texts(out, snapshot.tags);
    out.i64(snapshot.time_ns).varint(snapshot.sequence);
    out.u8(snapshot.parent ? 1 : 0);
    if (snapshot.parent) out.guid(*snapshot.parent);
    out.varint(snapshot.files).varint(snapshot.directories).varint(snapshot.bytes);
    out.varint(snapshot.added_bytes).varint(snapshot.partial);
    out.text(snapshot.program_version);
    out.u8(snapshot.original ? 1 : 0);
    if (snapshot.original) out.guid(*snapshot.original);
    out.text(snapshot.name);
    return out;
}

base::Bytes encode_fields(const Snapshot& snapshot) {
    auto out = encode_named(snapshot);
    out.u8(snapshot.first_root ? 1 : 0);
    if (snapshot.first_root) out.guid(*snapshot.first_root);
    return out.take();
}

}  // namespace

TreeKey snapshot_key(const base::Guid& id) {
    TreeKey key = TreeKey::first(0, Kind::snapshot);
    for (std::size_t i = 0; i < 8; ++i) key.sub = (key.sub << 8U) | id.bytes()[i];
    return key;
}

base::Guid Snapshot::id() const {
    const auto named = encode_named(*this).take();
    return base::sha256({base::as_bytes("pelago snapshot"), first_root.value_or(root->id).view(), named});
}

base::Result<void> Snapshot::check() const {
    if (root == nullptr) return base::Error{base::Errc::bad_argument, "a snapshot without a tree"};
    const std::vector<std::string> singles{host, user, program_version, name};
    if (!all_within(paths, kMaxSnapshotPaths) || !all_within(tags, kMaxSnapshotTags) ||
        !all_within(singles, singles.size()) || encode_fields(*this).size() > kMaxSnapshotBytes) {
        return base::Error{base::Errc::bad_argument, "a snapshot's paths, tags or names are too many or too long"};
    }
    return base::ok();
}

Opaque Snapshot::encode() const {
    Opaque out;
    out.bytes = encode_fields(*this);
    out.blocks.push_back(root);
    return out;
}

base::Result<Snapshot> Snapshot::decode(const Opaque& record) {
    base::Reader in{record.bytes};
    const auto format = in.u8();
    if (!in.ok()) return base::Error{base::Errc::bad_format, "an empty snapshot record"};
    if (format != kFormat) return base::Error{base::Errc::unsupported, "a snapshot of a later version"};
    Snapshot out;
    out.host = in.text(kMaxSnapshotText);
    out.user = in.text(kMaxSnapshotText);
    out.paths = read_texts(in, kMaxSnapshotPaths);
    out.tags = read_texts(in, kMaxSnapshotTags);
    out.time_ns = in.i64();
    out.sequence = in.varint();
    const auto with_parent = in.u8();
    if (with_parent > 1) in.fail();
    if (with_parent == 1) out.parent = in.guid();
    out.files = in.varint();
    out.directories = in.varint();
    out.bytes = in.varint();
    out.added_bytes = in.varint();
    out.partial = in.varint();
    out.program_version = in.text(kMaxSnapshotText);
    const auto with_original = in.u8();
    if (with_original > 1) in.fail();
    if (with_original == 1) out.original = in.guid();
    out.name = in.text(kMaxSnapshotText);
    const auto with_first_root = in.u8();
    if (with_first_root > 1) in.fail();
    if (with_first_root == 1) out.first_root = in.guid();
    if (!in.complete() || record.blocks.size() != 1 || record.blocks.front() == nullptr) {
        return base::Error{base::Errc::bad_format, "a snapshot record that does not parse"};
    }
    out.root = record.blocks.front();
    return out;
}

bool operator==(const Snapshot& a, const Snapshot& b) { return a.encode() == b.encode(); }

bool later(const Snapshot& a, const Snapshot& b) {
    return a.sequence != b.sequence ? a.sequence > b.sequence : a.time_ns > b.time_ns;
}

bool matches(const Snapshot& snapshot, const SnapshotFilter& filter) {
    const auto has_tags = [&](const std::vector<std::string>& tags) { return contains_all(snapshot.tags, tags); };
    const bool of_host = filter.hosts.empty() ||
                         std::find(filter.hosts.begin(), filter.hosts.end(), snapshot.host) != filter.hosts.end();
    return of_host && contains_all(snapshot.paths, filter.paths) &&
           (filter.tags.empty() || std::any_of(filter.tags.begin(), filter.tags.end(), has_tags));
}

base::Result<Snapshot> find_snapshot(std::span<const Snapshot> snapshots, std::string_view name,
                                     const SnapshotFilter& filter) {
    if (name == "latest") {
        const Snapshot* newest = nullptr;
        for (const auto& snapshot : snapshots) {
            if (matches(snapshot, filter) && (newest == nullptr || !later(*newest, snapshot))) {
                newest = &snapshot;
            }
        }
        if (newest == nullptr) return base::Error{Errc::no_such_snapshot, "latest"};
        return *newest;
    }
    const auto named = std::find_if(snapshots.begin(), snapshots.end(), [&](const Snapshot& snapshot) {
        return !snapshot.name.empty() && snapshot.name == name;
    });
    if (named != snapshots.end()) return *named;
    std::string prefix{name};
    for (auto& digit : prefix) digit = static_cast<char>(std::tolower(static_cast<unsigned char>(digit)));
    std::vector<const Snapshot*> found;
    std::string ids;
    for (const auto& snapshot : snapshots) {
        const auto id = snapshot.id();
        if (prefix.empty() || !id.hex().starts_with(prefix)) continue;
        found.push_back(&snapshot);
        ids += (ids.empty() ? "" : ", ") + id.short_hex(16);
    }
    if (found.empty()) return base::Error{Errc::no_such_snapshot, std::string{name}};
    if (found.size() > 1) {
        return base::Error{base::Errc::bad_argument, std::string{name} + " begins several snapshots: " + ids};
    }
    return *found.front();
}

}  // namespace objstore
