#include "acl.hpp"

#include <algorithm>
#include <utility>

namespace fusefs {

namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kEntryBytes = 8;

std::uint32_t little(base::ByteView bytes, std::size_t at, std::size_t width) {
    std::uint32_t value = 0;
    for (std::size_t i = width; i-- > 0;) value = value << 8U | bytes[at + i];
    return value;
}

void put_little(base::Bytes& out, std::uint32_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i, value >>= 8U) out.push_back(static_cast<std::uint8_t>(value));
}

bool named(std::uint16_t tag) { return tag == AclEntry::user || tag == AclEntry::group; }

/// Each of owner, owning group and others once, in the kernel's order, and a mask where somebody is named.
bool is_valid(const std::vector<AclEntry>& entries) {
    std::uint32_t once = 0;
    bool anybody_named = false;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const auto& entry = entries[i];
        if (entry.permissions > 7) return false;
        if (named(entry.tag)) {
            anybody_named = true;
            if (entry.id == UINT32_MAX) return false;
        } else {
            if ((once & entry.tag) != 0) return false;
            once |= entry.tag;
        }
        const auto place = [](const AclEntry& e) { return std::pair{e.tag, named(e.tag) ? e.id : 0U}; };
        if (i > 0 && entries[i - 1].tag > entry.tag) return false;
        for (std::size_t j = 0; named(entry.tag) && j < i; ++j) {
            if (place(entries[j]) == place(entry)) return false;
        }
    }
    constexpr std::uint32_t kBase = AclEntry::owner | AclEntry::group_owner | AclEntry::others;
    constexpr std::uint32_t kAll = kBase | AclEntry::mask;
    return once == kAll || (once == kBase && !anybody_named);
}

}  // namespace

base::Result<Acl> Acl::parse(base::ByteView bytes) {
    const base::Error invalid{std::make_error_code(std::errc::invalid_argument)};
    if (bytes.size() < kHeaderBytes || (bytes.size() - kHeaderBytes) % kEntryBytes != 0) return invalid;
    if (little(bytes, 0, 4) != kVersion) return base::Error{std::make_error_code(std::errc::operation_not_supported)};
    Acl acl;
    for (std::size_t at = kHeaderBytes; at < bytes.size(); at += kEntryBytes) {
        AclEntry entry;
        entry.tag = static_cast<std::uint16_t>(little(bytes, at, 2));
        entry.permissions = static_cast<std::uint16_t>(little(bytes, at + 2, 2));
        entry.id = little(bytes, at + 4, 4);
        constexpr std::uint16_t kTags = 63;
        if ((entry.tag & ~kTags) != 0 || (entry.tag & (entry.tag - 1)) != 0 || entry.tag == 0) return invalid;
        acl.entries_.push_back(entry);
    }
    if (!is_valid(acl.entries_)) return invalid;
    return acl;
}

base::Bytes Acl::encode() const {
    base::Bytes out;
    out.reserve(kHeaderBytes + entries_.size() * kEntryBytes);
    put_little(out, kVersion, 4);
    for (const auto& entry : entries_) {
        put_little(out, entry.tag, 2);
        put_little(out, entry.permissions, 2);
        put_little(out, named(entry.tag) ? entry.id : UINT32_MAX, 4);
    }
    return out;
}

const AclEntry* Acl::find(std::uint16_t tag) const {
    const auto found = std::ranges::find(entries_, tag, &AclEntry::tag);
    return found == entries_.end() ? nullptr : &*found;
}

AclEntry* Acl::find(std::uint16_t tag) { return const_cast<AclEntry*>(std::as_const(*this).find(tag)); }

AclEntry* Acl::group_class() {
    auto* mask = find(AclEntry::mask);
    return mask != nullptr ? mask : find(AclEntry::group_owner);
}

bool Acl::is_plain() const { return entries_.size() == 3; }

std::uint32_t Acl::mode(std::uint32_t mode) const {
    const auto bits = [this](std::uint16_t tag) -> std::uint32_t { return find(tag)->permissions; };
    const auto group = find(AclEntry::mask) != nullptr ? AclEntry::mask : AclEntry::group_owner;
    return (mode & ~0777U) | bits(AclEntry::owner) << 6U | bits(group) << 3U | bits(AclEntry::others);
}

void Acl::change_mode(std::uint32_t mode) {
    find(AclEntry::owner)->permissions = mode >> 6U & 7U;
    group_class()->permissions = mode >> 3U & 7U;
    find(AclEntry::others)->permissions = mode & 7U;
}

std::uint32_t Acl::inherit(std::uint32_t mode) {
    find(AclEntry::owner)->permissions &= mode >> 6U & 7U;
    group_class()->permissions &= mode >> 3U & 7U;
    find(AclEntry::others)->permissions &= mode & 7U;
    return this->mode(mode);
}

}  // namespace fusefs
