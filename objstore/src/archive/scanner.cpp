#include "objstore/archive/scanner.hpp"

#include <algorithm>
#include <array>

#include "objstore/archive/report.hpp"
#include "objstore/records.hpp"

namespace objstore::archive {
namespace {

constexpr std::string_view kCacheTag = "CACHEDIR.TAG";
constexpr std::string_view kCacheSignature = "Signature: 8a477f597d28d172789f06886806bc55";

}  // namespace

// The directories that lead from "/" to the paths, and the paths themselves.
struct Scanner::Planned {
    bool wanted = false;  // a path of the user: all of it, not only `below`
    std::map<std::string, std::unique_ptr<Planned>, std::less<>> below;
};

// A directory whose listing is still to come.
struct Scanner::Pending {
    std::uint64_t id = 0;
    std::string path;
    std::string name;                              // in `parent`
    std::shared_ptr<base::LocalDirectory> parent;  // null for "/"
    base::FileStat stat;                           // as its parent told
    const Planned* planned = nullptr;              // null below a wanted path
    std::uint64_t device = 0;                      // of the wanted path above it
    bool mount_point = false;                      // another file system that is not to be entered
    bool cached = false;
    unsigned depth = 0;  // below "/"
};

std::string joined(const std::string& path, std::string_view name) {
    std::string out;
    out.reserve(path.size() + 1 + name.size());
    out = path;
    if (out != "/") out += '/';
    return out += name;
}

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> names;
    while (!path.empty()) {
        const auto slash = std::min(path.find('/'), path.size());
        if (slash > 0) names.push_back(path.substr(0, slash));
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return names;
}

Scanner::Scanner(base::LocalTree& tree, std::vector<std::string> paths, ScanOptions options)
    : tree_{tree}, typed_{std::move(paths)}, options_{std::move(options)} {}
Scanner::~Scanner() = default;
Scanner::Scanner(Scanner&&) noexcept = default;

void Scanner::fail(std::string path, base::Error error) { failures_.push_back({std::move(path), std::move(error)}); }

base::Result<void> Scanner::begin() {
    root_ = std::make_unique<Planned>();
    std::vector<std::string> found;
    for (const auto& path : typed_) {
        auto absolute = tree_.absolute(path);
        if (auto planned = absolute ? plan(*absolute) : base::Result<void>{absolute.error()}; !planned) {
            fail(path, planned.error());
            continue;
        }
        found.push_back(*absolute);
    }
    if (found.empty()) {
        if (failures_.empty()) return base::Error{base::Errc::bad_argument, "nothing to back up was named"};
        return base::Error{failures_.front().error.code(), failures_.front().path};
    }
    std::sort(found.begin(), found.end());
    for (auto& path : found) {
        const auto above = [&path](const std::string& other) {
            return other == path || other == "/" || path.starts_with(other + "/");
        };
        if (std::none_of(absolute_.begin(), absolute_.end(), above)) absolute_.push_back(std::move(path));
    }
    Pending top;
    top.id = next_id_++;
    top.path = "/";
    top.planned = root_.get();
    stack_.push_back(std::move(top));
    return base::ok();
}

base::Result<void> Scanner::plan(const std::string& absolute) {
    const auto names = split(absolute);
    if (!names.empty()) {
        const auto parent = absolute.substr(0, std::max<std::size_t>(1, absolute.rfind('/')));
        BASE_TRY(const auto directory, tree_.open(parent));
        BASE_CHECK(directory->stat(names.back()));
    }
    auto* at = root_.get();
    for (const auto name : names) {
        auto& next = at->below[std::string{name}];
        if (!next) next = std::make_unique<Planned>();
        at = next.get();
    }
    at->wanted = true;
    return base::ok();
}

std::vector<Listing> Scanner::next(std::size_t entries, std::size_t directories) {
    std::vector<Listing> listings;
    std::size_t found = 0;
    while (!stack_.empty() && found < entries && listings.size() < directories) {
        auto pending = std::move(stack_.back());
        stack_.pop_back();
        listings.push_back(list(std::move(pending)));
        found += listings.back().entries.size() + 1;
        std::move(discovered_.rbegin(), discovered_.rend(), std::back_inserter(stack_));
        discovered_.clear();
    }
    return listings;
}

std::vector<ScanFailure> Scanner::take_failures() { return std::exchange(failures_, {}); }

Listing Scanner::list(Pending pending) {
    Listing listing;
    listing.id = pending.id;
    listing.path = pending.path;
    listing.stat = pending.stat;
    // What leads to a path may hold symbolic links: the user typed them. Below a path none is followed.
    const bool on_the_way = pending.planned != nullptr && !pending.planned->wanted;
    listing.on_the_way = on_the_way;
    auto opened =
        pending.parent && !on_the_way ? pending.parent->open_directory(pending.name) : tree_.open(pending.path);
    if (!opened) {
        listing.vanished = opened.error() == base::Errc::not_found;
        fail(listing.path, opened.error());
        return listing;
    }
    listing.directory = std::move(*opened);
    if (auto stat = listing.directory->stat()) {
        listing.stat = *stat;
    } else {
        fail(listing.path, stat.error());
    }
    if (pending.mount_point) return listing;
    if (pending.planned != nullptr) pending.device = listing.stat.device;
    if (on_the_way) {
        list_planned(listing, *pending.planned, pending);
    } else {
        list_all(listing, pending);
    }
    return listing;
}

void Scanner::list_planned(Listing& listing, const Planned& planned, const Pending& pending) {
    for (const auto& [name, below] : planned.below) keep(listing, pending, name, below.get());
}

void Scanner::list_all(Listing& listing, const Pending& pending) {
    auto entries = listing.directory->list();
    if (!entries) {
        fail(listing.path, entries.error());
        return;
    }
    reached_ = true;
    auto inside = pending;
    inside.cached =
        options_.exclude_caches &&
        std::any_of(entries->begin(), entries->end(), [](const auto& entry) { return entry.name == kCacheTag; }) &&
        is_cache(*listing.directory);
    listing.entries.reserve(entries->size());
    for (const auto& entry : *entries) keep(listing, inside, entry.name, nullptr);
}

void Scanner::keep(Listing& listing, const Pending& above, const std::string& name, const Planned* planned) {
    const bool on_the_way = planned != nullptr && !planned->wanted;
    auto path = joined(listing.path, name);
    if (above.cached && name != kCacheTag) return;
    auto stat = listing.directory->stat(name);
    if (stat && on_the_way && stat->type == base::FileType::symlink) {
        // A symbolic link on the way to a path is archived as the directory it leads to.
        if (auto behind = tree_.open(path)) stat = (*behind)->stat();
    }
    if (!stat) {
        fail(std::move(path), stat.error());
        return;
    }
    const bool directory = stat->type == base::FileType::directory;
    if (planned == nullptr && !options_.excludes.empty()) {
        const auto names = split(path);
        if (options_.excludes.matches(names, directory)) return;
    }
    ScannedEntry entry{.name = name, .stat = *stat};
    if (directory && above.depth >= kMaxDepth) {
        fail(std::move(path), too_deep());
        return;
    }
    if (directory) {
        entry.directory = next_id_++;
        Pending pending;
        pending.id = entry.directory;
        pending.path = std::move(path);
        pending.name = name;
        pending.parent = listing.directory;
        pending.stat = *stat;
        entry.on_the_way = on_the_way;
        pending.planned = planned;
        pending.device = above.device;
        pending.depth = above.depth + 1;
        pending.mount_point = options_.one_file_system && planned == nullptr && stat->device != above.device;
        discovered_.push_back(std::move(pending));
    }
    if (!directory) reached_ = true;
    listing.entries.push_back(std::move(entry));
}

bool Scanner::is_cache(base::LocalDirectory& directory) const {
    auto file = directory.open_file(kCacheTag);
    if (!file) return false;
    std::array<std::uint8_t, kCacheSignature.size()> head{};
    const auto read = (*file)->read_at(0, head);
    return read && *read == head.size() && base::as_text(head) == kCacheSignature;
}

}  // namespace objstore::archive
