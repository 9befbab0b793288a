#include "disk_state.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/limits.hpp"

namespace base::sim {

namespace {

Result<std::vector<std::string_view>> split(std::string_view path) {
    std::vector<std::string_view> names;
    const Error refusal{Errc::bad_argument, "\"" + std::string{path} + "\" is no path of this directory"};
    if (path.empty() || path.find('\0') != path.npos || path.size() > kMaxPathBytes) return refusal;
    for (std::size_t begin = 0; begin <= path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        const auto name = path.substr(begin, end - begin);
        if (name.empty() || name == "." || name == ".." || name.size() > kMaxNameBytes) return refusal;
        names.push_back(name);
        begin = end + 1;
    }
    return names;
}

Error absent(std::string_view path) { return {Errc::not_found, std::string{path}}; }
Error not_a_directory(std::string_view path) { return {Errc::bad_argument, std::string{path} + " (not a directory)"}; }

}  // namespace

Disk::State::State(std::uint64_t seed, DiskOptions options_in) : rng{mix(seed, "disk")}, options{options_in} {
    root = make_node(/*directory=*/true);
}

// --- names

Result<DiskNodePtr> Disk::State::find(std::string_view path) const {
    BASE_TRY(const auto names, split(path));
    DiskNodePtr at = root;
    for (const auto name : names) {
        if (!at->directory) return not_a_directory(path);
        const auto found = at->cached.find(name);
        if (found == at->cached.end()) return absent(path);
        at = found->second;
    }
    return at;
}

Result<DiskNodePtr> Disk::State::find_directory(std::string_view path) const {
    if (path.empty()) return root;
    BASE_TRY(auto node, find(path));
    if (!node->directory) return not_a_directory(path);
    return node;
}

Result<Disk::State::Place> Disk::State::group_of(std::string_view path) const {
    BASE_TRY(const auto names, split(path));
    const auto slash = path.rfind('/');
    if (slash == path.npos) return Place{root, std::string{path}};
    BASE_TRY(auto parent, find_directory(path.substr(0, slash)));
    return Place{std::move(parent), std::string{names.back()}};
}

DiskNodePtr Disk::State::must_find(std::string_view path) const {
    auto node = find(path);
    assert(node && !(*node)->directory && "no such file on the simulated disk");
    return *std::move(node);
}

DiskNodePtr Disk::State::make_node(bool directory) {
    auto node = std::make_shared<DiskNode>();
    node->id = ++next_id;
    node->directory = directory;
    return node;
}

void Disk::State::set_name(const Place& place, const DiskNodePtr& target) {
    place.parent->cached[place.name] = target;
    NameOperation operation;
    operation.sequence = ++next_sequence;
    operation.changes.push_back({place.parent, place.name, target, nullptr});
    name_operations.push_back(std::move(operation));
}

void Disk::State::remove_name(const Place& place) {
    const auto found = place.parent->cached.find(place.name);
    NameOperation operation;
    operation.sequence = ++next_sequence;
    operation.changes.push_back({place.parent, place.name, nullptr, found->second});
    if (!found->second->directory) used_pages -= found->second->data.pages();
    place.parent->cached.erase(found);
    name_operations.push_back(std::move(operation));
}

void Disk::State::move_name(const Place& from, const Place& to) {
    const auto found = from.parent->cached.find(from.name);
    const auto target = found->second;
    const auto replaced = to.parent->cached.find(to.name);
    if (replaced != to.parent->cached.end() && !replaced->second->directory) {
        used_pages -= replaced->second->data.pages();
    }
    from.parent->cached.erase(found);
    to.parent->cached[to.name] = target;
    NameOperation operation;
    operation.sequence = ++next_sequence;
    operation.changes.push_back({to.parent, to.name, target, nullptr});
    operation.changes.push_back({from.parent, from.name, nullptr, target});
    name_operations.push_back(std::move(operation));
}

void Disk::State::apply_names(NameOperation& operation, bool only_new_name) {
    for (auto& change : operation.changes) {
        if (change.durable || (only_new_name && !change.target)) continue;
        auto& names = change.directory->durable;
        if (change.target) {
            names[change.name] = change.target;
        } else if (const auto found = names.find(change.name);
                   found != names.end() && found->second == change.expected) {
            names.erase(found);
        }
        change.durable = true;
    }
}

void Disk::State::make_names_durable(const DiskNodePtr& directory) {
    for (auto& operation : name_operations) {
        const auto touches = [&](const NameChange& change) { return change.directory == directory; };
        if (std::none_of(operation.changes.begin(), operation.changes.end(), touches)) continue;
        operation.synced.insert(directory->id);
        const bool all = std::all_of(operation.changes.begin(), operation.changes.end(), [&](const NameChange& change) {
            return operation.synced.contains(change.directory->id);
        });
        if (all) {
            apply_names(operation, /*only_new_name=*/false);
        } else if (touches(operation.changes.front())) {
            apply_names(operation, /*only_new_name=*/true);
        }
    }
    std::erase_if(name_operations, [](const NameOperation& operation) {
        return std::all_of(operation.changes.begin(), operation.changes.end(),
                           [](const NameChange& change) { return change.durable; });
    });
}

// --- contents

Result<void> Disk::State::reserve(const DiskNode& node, std::uint64_t offset, std::uint64_t length) {
    const auto missing = node.data.pages_missing(offset, length);
    if ((used_pages + missing) * SparseBytes::kPage > options.capacity_bytes) return Errc::no_space;
    return ok();
}

void Disk::State::write(const DiskNodePtr& node, std::uint64_t offset, std::span<const ByteView> parts) {
    DataChange change;
    change.sequence = ++next_sequence;
    change.offset = offset;
    for (const auto part : parts) change.length += part.size();
    if (change.length == 0) return;
    change.old_size = node->data.size();
    change.new_size = std::max(change.old_size, offset + change.length);
    if (offset < change.old_size) {
        change.overwritten.resize(static_cast<std::size_t>(std::min(change.length, change.old_size - offset)));
        node->data.read(offset, change.overwritten);
    }
    const auto before = node->data.pages();
    for (const auto part : parts) {
        node->data.write(offset, part);
        offset += part.size();
    }
    used_pages += node->data.pages() - before;
    node->changes.push_back(std::move(change));
    dirty[node->id] = node;
}

void Disk::State::truncate(const DiskNodePtr& node, std::uint64_t size) {
    DataChange change;
    change.sequence = ++next_sequence;
    change.truncate = true;
    change.old_size = node->data.size();
    change.new_size = size;
    if (size < change.old_size) {
        change.overwritten.resize(static_cast<std::size_t>(change.old_size - size));
        node->data.read(size, change.overwritten);
    }
    const auto before = node->data.pages();
    node->data.resize(size);
    used_pages += node->data.pages() - before;
    node->changes.push_back(std::move(change));
    dirty[node->id] = node;
}

void Disk::State::make_durable(const DiskNodePtr& node) {
    using Standing = DataChange::Standing;
    for (auto& change : node->changes) {
        if (change.standing == Standing::pending) change.standing = Standing::synced;
    }
    // Changes older than every doomed one need not be undone any more; younger ones may overlap it.
    while (!node->changes.empty() && node->changes.front().standing == Standing::synced) node->changes.pop_front();
    if (node->changes.empty()) dirty.erase(node->id);
}

void Disk::State::doom(const DiskNodePtr& node) {
    for (auto& change : node->changes) {
        if (change.standing == DataChange::Standing::pending) change.standing = DataChange::Standing::doomed;
    }
}

std::uint64_t count_pages(const DiskNode& directory) {
    std::uint64_t pages = 0;
    for (const auto& [name, node] : directory.cached)
        pages += node->directory ? count_pages(*node) : node->data.pages();
    return pages;
}

}  // namespace base::sim
