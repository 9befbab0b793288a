#include "live/live_node.hpp"

namespace objstore {
namespace {

// In its map each, with what an allocator adds.
constexpr std::size_t kNameBytes = sizeof(std::pair<const NameKey, LiveName>) + 64;
constexpr std::size_t kXattrBytes = sizeof(std::pair<const std::string, LiveXattr>) + 96;
/// The node, and its places in the tables of a WorkingTree.
constexpr std::size_t kInodeBytes = sizeof(LiveNode) + 256;

std::size_t bytes_of(const LiveXattr& xattr) { return xattr.value ? xattr.value->size() : 0; }

}  // namespace

LiveMemory& LiveMemory::operator+=(const LiveMemory& more) {
    all += more.all;
    content += more.content;
    nameless += more.nameless;
    nameless_buffers += more.nameless_buffers;
    return *this;
}

LiveMemory& LiveMemory::operator-=(const LiveMemory& less) {
    all -= less.all;
    content -= less.content;
    nameless -= less.nameless;
    nameless_buffers -= less.nameless_buffers;
    return *this;
}

LiveMemory LiveNode::memory(bool held) const {
    LiveMemory out;
    if (changed == 0 && !gone) return out;
    out.all = kInodeBytes + names.size() * kNameBytes + xattrs.size() * kXattrBytes + text_bytes_ + content.cost();
    if (symlink) out.all += symlink->size();
    if (known_as) out.all += known_as->second.size();
    out.content = content.memory_bytes();
    if (!gone || !held) return out;
    out.nameless = out.all;
    out.nameless_buffers = content.buffer_bytes();
    return out;
}

std::pair<std::map<NameKey, LiveName>::iterator, bool> LiveNode::name(NameKey key) {
    const auto bytes = key.second.size();
    const auto added = names.try_emplace(std::move(key));
    if (added.second) text_bytes_ += bytes;
    return added;
}

void LiveNode::forget(std::map<NameKey, LiveName>::iterator name) {
    text_bytes_ -= name->first.second.size();
    names.erase(name);
}

void LiveNode::leave_base(const NamedTree& before) {
    if (base && !last) last = before;
    base.reset();
}

void LiveNode::set_xattr(std::string name, LiveXattr xattr) {
    const auto [at, first] = xattrs.try_emplace(std::move(name));
    text_bytes_ += bytes_of(xattr) + (first ? at->first.size() : 0);
    text_bytes_ -= bytes_of(at->second);
    at->second = std::move(xattr);
}

void LiveNode::forget(std::uint64_t generation) {
    for (auto at = names.begin(); at != names.end();) {
        const auto each = at++;
        if (each->second.generation <= generation) forget(each);
    }
    for (auto at = xattrs.begin(); at != xattrs.end();) {
        const auto each = at++;
        if (each->second.generation > generation) continue;
        text_bytes_ -= each->first.size() + bytes_of(each->second);
        xattrs.erase(each);
    }
}

}  // namespace objstore
