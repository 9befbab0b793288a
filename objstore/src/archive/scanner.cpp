#include "objstore/archive/scanner.hpp"

#include <algorithm>
#include <deque>
#include <set>

#include "base/limits.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/records.hpp"

namespace objstore::archive {
namespace {

constexpr unsigned kMostLinks = 40;  // as the kernel follows

std::string parent_of(const std::string& path) { return path.substr(0, std::max<std::size_t>(1, path.rfind('/'))); }

/// The one of `paths` above `path`; none of them is above another.
std::string one_above(const std::set<std::string>& paths, const std::string& path) {
    for (auto at = path; at != "/";) {
        at = parent_of(at);
        if (paths.contains(at)) return at;
    }
    return {};
}

base::Error too_long() {
    return {base::Errc::unsupported, "a name longer than " + std::to_string(base::kMaxNameBytes) + " bytes"};
}

}  // namespace

// The directories that lead from "/" to the paths, and the paths themselves.
struct Scanner::Planned {
    bool wanted = false;  // a path of the user: all of it, not only `below`
    bool met = false;     // the walk came to it
    std::map<std::string, std::unique_ptr<Planned>, std::less<>> below;

    [[nodiscard]] bool leads() const { return !below.empty(); }
};

// A directory whose listing is still to come.
struct Scanner::Pending {
    std::uint64_t id = 0;
    std::string path;
    std::string name;                              // in `parent`
    std::shared_ptr<base::LocalDirectory> parent;  // null for "/"
    base::FileStat stat;                           // as its parent told
    Planned* planned = nullptr;                    // null if no path leads through it
    bool whole = false;                            // at or below a path of the user; else it only leads to one
    bool starts = true;                            // `device` is its own: it is a path of the user, or leads to one
    std::uint64_t device = 0;                      // of the wanted path above it
    bool mount_point = false;                      // another file system that is not to be entered
    std::string marker;                            // the file that says that what lies beside it is left out, if any
    unsigned depth = 0;                            // below "/"
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
    std::set<std::string> found;
    for (const auto& path : typed_) {
        auto absolute = tree_.absolute(path);
        if (auto there = absolute ? look(*absolute) : base::Result<void>{absolute.error()}; !there) {
            fail(path, there.error());
            continue;
        }
        found.insert(std::move(*absolute));
    }
    if (found.empty()) {
        if (failures_.empty()) return base::Error{base::Errc::bad_argument, "nothing to back up was named"};
        return base::Error{failures_.front().error.code(), failures_.front().path};
    }
    std::set<std::string> top;  // those that lie below no other
    for (const auto& path : found) {
        const auto above = one_above(top, path);
        if (above.empty()) {
            top.insert(path);
            plan(path);
            continue;
        }
        // The walk from there keeps links as links: what was named through one is kept where that leads.
        const auto kept = above == "/" ? "" : above.substr(0, above.rfind('/'));
        plan(joined(behind_links(parent_of(path), kept), split(path).back()));
    }
    absolute_.assign(top.begin(), top.end());
    Pending first;
    first.id = next_id_++;
    first.path = "/";
    first.planned = root_.get();
    first.whole = root_->wanted;
    stack_.push_back(std::move(first));
    return base::ok();
}

base::Result<void> Scanner::look(const std::string& absolute) {
    const auto names = split(absolute);
    if (names.empty()) return base::ok();
    BASE_TRY(const auto directory, tree_.open(parent_of(absolute)));
    BASE_CHECK(directory->stat(names.back()));
    return base::ok();
}

// `path` with the symbolic links among its names followed, those of `kept` (a directory above it, or "") as they are.
// As typed if it cannot be told: whoever goes there is told why.
std::string Scanner::behind_links(const std::string& path, const std::string& kept) {
    std::string out = kept;
    auto names = split(std::string_view{path}.substr(kept.size()));
    std::deque<std::string> left{names.begin(), names.end()};
    for (unsigned links = 0; !left.empty();) {
        const auto name = std::move(left.front());
        left.pop_front();
        if (name == ".") continue;
        if (name == "..") {
            out = parent_of(behind_links(out, ""));
            if (out == "/") out.clear();
            continue;
        }
        const auto directory = tree_.open(out.empty() ? "/" : out);
        const auto stat = directory ? (*directory)->stat(name) : base::Result<base::FileStat>{directory.error()};
        if (!stat) return path;
        if (stat->type != base::FileType::symlink) {
            out += "/" + name;
            continue;
        }
        const auto target = (*directory)->read_link(name);
        if (!target || ++links > kMostLinks) return path;
        if (target->starts_with('/')) out.clear();
        names = split(*target);
        left.insert(left.begin(), names.begin(), names.end());
    }
    return out.empty() ? "/" : out;
}

void Scanner::plan(const std::string& absolute) {
    auto* at = root_.get();
    for (const auto name : split(absolute)) {
        auto& next = at->below[std::string{name}];
        if (!next) next = std::make_unique<Planned>();
        at = next.get();
    }
    at->wanted = true;
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
    if (listings.empty() && root_) {
        name_unmet("", *root_);
        root_.reset();
    }
    return listings;
}

std::vector<ScanFailure> Scanner::take_failures() { return std::exchange(failures_, {}); }

// What was named is kept or said not to be, however the walk went.
void Scanner::name_unmet(const std::string& path, const Planned& planned) {
    for (const auto& [name, below] : planned.below) {
        const auto whole = path + "/" + name;
        if (below->wanted && !below->met) fail(whole, base::Error{base::Errc::not_found, "the walk did not get there"});
        name_unmet(whole, *below);
    }
}

Listing Scanner::list(Pending pending) {
    Listing listing;
    listing.id = pending.id;
    listing.path = pending.path;
    listing.stat = pending.stat;
    // What leads to a path may hold symbolic links: the user typed them. Below a path none is followed.
    listing.on_the_way = !pending.whole;
    auto opened =
        pending.parent && pending.whole ? pending.parent->open_directory(pending.name) : tree_.open(pending.path);
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
    if (pending.starts) pending.device = listing.stat.device;
    if (pending.whole) {
        list_all(listing, pending);
    } else {
        list_planned(listing, pending);
    }
    return listing;
}

void Scanner::list_planned(Listing& listing, const Pending& pending) {
    for (const auto& [name, below] : pending.planned->below) keep(listing, pending, {name, {}}, below.get());
}

void Scanner::list_all(Listing& listing, const Pending& pending) {
    auto entries = listing.directory->list();
    if (!entries) {
        fail(listing.path, entries.error());
        return;
    }
    reached_ = true;
    auto inside = pending;
    inside.marker = marker_in(*listing.directory, *entries);
    listing.entries.reserve(entries->size());
    for (const auto& entry : *entries) {
        Planned* planned = nullptr;
        if (pending.planned != nullptr) {
            const auto found = pending.planned->below.find(entry.name);
            if (found != pending.planned->below.end()) planned = found->second.get();
        }
        keep(listing, inside, entry, planned);
    }
}

// Whether the user wants it left out. A file system that does not tell types is asked for one only where it matters:
// nullopt then.
std::optional<bool> Scanner::left_out(const Pending& above, const std::string& path, std::string_view name,
                                      base::FileType type) const {
    if (!above.marker.empty() && name != above.marker) return true;
    if (options_.excludes.empty()) return false;
    const auto names = split(path);
    if (type != base::FileType{}) return options_.excludes.matches(names, type == base::FileType::directory);
    const bool as_directory = options_.excludes.matches(names, true);
    if (as_directory == options_.excludes.matches(names, false)) return as_directory;
    return std::nullopt;
}

// `planned`: what was named at or below it. It is kept whole, or as what leads there.
void Scanner::keep(Listing& listing, const Pending& above, const base::LocalDirectory::Entry& found, Planned* planned) {
    const auto& name = found.name;
    auto path = joined(listing.path, name);
    const bool named = planned != nullptr && planned->wanted;
    const bool leads = planned != nullptr && planned->leads();
    if (named) planned->met = true;
    // Before anything is asked of it: what the user leaves out may be a mount that hangs.
    auto out = named ? false : above.whole ? left_out(above, path, name, found.type) : true;
    if (out.value_or(false) && !leads) return;
    auto stat = listing.directory->stat(name);
    if (stat && above.whole && !named && stat->type != found.type) out = left_out(above, path, name, stat->type);
    const bool large = stat && !named && stat->type == base::FileType::regular && options_.exclude_above &&
                       stat->size > *options_.exclude_above;
    const bool whole = stat && !out.value_or(false) && !large;
    if (!whole && !leads) {
        if (!stat) fail(std::move(path), stat.error());
        return;
    }
    if (stat && !whole && stat->type == base::FileType::symlink) {
        // A symbolic link on the way to a path is archived as the directory it leads to.
        if (auto behind = tree_.open(path)) stat = (*behind)->stat();
    }
    if (!stat) return fail(std::move(path), stat.error());
    if (name.size() > base::kMaxNameBytes) return fail(std::move(path), too_long());
    const bool directory = stat->type == base::FileType::directory;
    ScannedEntry entry{.name = name, .stat = *stat};
    if (directory && above.depth >= kMaxDepth) return fail(std::move(path), too_deep());
    if (directory) {
        const bool mount = options_.one_file_system && whole && !named && stat->device != above.device;
        entry.directory = next_id_++;
        Pending pending;
        pending.id = entry.directory;
        pending.path = std::move(path);
        pending.name = name;
        pending.parent = listing.directory;
        pending.stat = *stat;
        pending.planned = planned;
        pending.whole = whole && !(mount && leads);
        pending.starts = named || !pending.whole;
        pending.device = above.device;
        pending.depth = above.depth + 1;
        pending.mount_point = mount && !leads;
        entry.on_the_way = !pending.whole;
        discovered_.push_back(std::move(pending));
    }
    if (!directory) reached_ = true;
    listing.entries.push_back(std::move(entry));
}

// The name of the first marker that is there.
std::string Scanner::marker_in(base::LocalDirectory& directory,
                               const std::vector<base::LocalDirectory::Entry>& entries) const {
    const auto is_marker = [&](const MarkerFile& marker) {
        const auto same = [&](const auto& entry) { return entry.name == marker.name; };
        if (std::none_of(entries.begin(), entries.end(), same)) return false;
        if (marker.begins_with.empty()) return true;
        auto file = directory.open_file(marker.name);
        if (!file) return false;
        base::Bytes head(marker.begins_with.size());
        const auto read = (*file)->read_at(0, head);
        return read && *read == head.size() && base::as_text(head) == marker.begins_with;
    };
    const auto found = std::find_if(options_.markers.begin(), options_.markers.end(), is_marker);
    return found == options_.markers.end() ? std::string{} : found->name;
}

MarkerFile cache_marker() { return {"CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55"}; }

}  // namespace objstore::archive
