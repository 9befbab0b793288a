// The directory of snapshots: the places that lead to them, and the way into each.
#include "fuse/snapshot_files.hpp"

#include <algorithm>
#include <cerrno>
#include <list>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/hash.hpp"
#include "base/task_group.hpp"
#include "file_system_state.hpp"
#include "objstore/error.hpp"

namespace fusefs {

namespace {

/// Outside of all snapshots, or the top of one.
struct Place {
    enum class Kind : std::uint8_t { directory, link, snapshot };
    Kind kind = Kind::directory;
    std::string path;  ///< "" is the root
    NodeId node = kRootNode;
    std::string link;                            ///< where a link leads
    objstore::BlockRefPtr tree;                  ///< of a snapshot
    std::int64_t time_ns = 0;                    ///< of the newest snapshot here or below
    std::map<std::uint64_t, std::string> names;  ///< of a directory, by their offsets
    std::uint32_t directories = 0;               ///< among them

    [[nodiscard]] bool is_directory() const { return kind != Kind::link; }
};
using PlacePtr = std::shared_ptr<Place>;
using Places = std::map<std::string, PlacePtr>;  // by path

constexpr std::uint64_t kNumbers = (1ULL << 63U) - 1;
constexpr std::string_view kTimeName{"user.pelago.time"};

/// The output function of SplitMix64, of 63 bits: one to one.
std::uint64_t mix(std::uint64_t x) {
    x &= kNumbers;
    x = ((x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL) & kNumbers;
    x = ((x ^ (x >> 27U)) * 0x94d049bb133111ebULL) & kNumbers;
    return x ^ (x >> 31U);
}

std::uint64_t hash_of(const std::string& text) {
    const auto digest = base::sha256(base::as_bytes(text));
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < sizeof out; ++i) out = out << 8U | digest.bytes()[i];
    return out;
}

/// No number of a live tree, 0, or the root.
NodeId usable(std::uint64_t number) { return number | ~kNumbers; }

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

std::string joined(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

Place* directory_at(Places& all, const std::string& path);

/// Nothing if something is there, or if what is above it is no directory.
void put(Places& all, Place place) {
    Place* const above = directory_at(all, directory_of(place.path));
    if (above == nullptr || all.contains(place.path)) return;
    const auto name = place.path.substr(above->path.empty() ? 0 : above->path.size() + 1);
    auto offset = std::max<std::uint64_t>(hash_of(name) >> 1U, 3);
    while (!above->names.emplace(offset, name).second) ++offset;
    auto path = place.path;
    all.emplace(std::move(path), std::make_shared<Place>(std::move(place)));
}

/// Made if need be, with those above it; null if one of them is something else.
Place* directory_at(Places& all, const std::string& path) {
    auto found = all.find(path);
    if (found == all.end()) {
        Place made;
        made.path = path;
        made.node = usable(hash_of("directory\n" + path));
        put(all, std::move(made));
        found = all.find(path);
    }
    if (found == all.end() || found->second->kind != Place::Kind::directory) return nullptr;
    return found->second.get();
}

Places make_places(const std::vector<SnapshotName>& names, const std::vector<objstore::Snapshot>& snapshots) {
    Places all;
    all.emplace("", std::make_shared<Place>());
    for (const auto& each : names) {
        Place place;
        place.path = each.path;
        if (each.snapshot) {
            const auto& snapshot = snapshots.at(*each.snapshot);
            place.kind = Place::Kind::snapshot;
            place.tree = snapshot.root;
            place.time_ns = snapshot.time_ns;
            place.node = usable(hash_of("snapshot\n" + snapshot.id().hex() + each.path));
        } else if (!each.link.empty()) {
            // The kernel remembers where a link leads: one that leads elsewhere is another.
            place.kind = Place::Kind::link;
            place.link = each.link;
            place.node = usable(hash_of("link\n" + each.path + "\n" + each.link));
        } else {
            (void)directory_at(all, each.path);
            continue;
        }
        put(all, std::move(place));
    }
    // What is below a directory comes behind it.
    for (auto at = all.rbegin(); at != all.rend(); ++at) {
        const auto& [path, place] = *at;
        if (path.empty()) continue;
        auto& above = *all.at(directory_of(path));
        above.time_ns = std::max(above.time_ns, place->time_ns);
        if (place->is_directory()) ++above.directories;
    }
    return all;
}

/// What the kernel remembers, or has just been offered.
struct Known {
    PlacePtr place;
    NodeId inner = kRootNode;        ///< in the place's snapshot; the root is the place itself
    NodeId above = kRootNode;        ///< the directory that it was found in
    objstore::InodeNumber view = 0;  ///< the directory that snapshots are shown of; 0: all of them
    std::uint64_t times = 0;

    /// Shown as the snapshot has it, not as this file makes it up.
    [[nodiscard]] bool is_inside() const {
        return inner != kRootNode || (view != 0 && place->kind == Place::Kind::snapshot);
    }
    [[nodiscard]] bool leads_to_snapshots() const { return !is_inside() && place->kind == Place::Kind::directory; }
    [[nodiscard]] bool same_as(const Known& other) const {
        return place->node == other.place->node && view == other.view && inner == other.inner;
    }
    /// One to one within a place and view; of two of them the numbers have nothing to do with each other.
    [[nodiscard]] NodeId number() const {
        const auto top = view == 0 ? place->node : usable(mix(view) ^ mix(place->node));
        return inner == kRootNode ? top : usable(mix(inner) ^ top);
    }
    [[nodiscard]] Known with(NodeId node_inside, NodeId found_in) const {
        return {place, node_inside, found_in, view, 0};
    }
};

/// A snapshot's tree while it is in use, and a little longer.
struct OpenTree {
    std::unique_ptr<objstore::WorkingTree> tree;
    std::unique_ptr<FileSystem> files;
};
using OpenTreePtr = std::shared_ptr<OpenTree>;
using TreeName = std::pair<base::Guid, objstore::InodeNumber>;  // root and view

struct OpenHandle {
    OpenTreePtr tree;  ///< null: of a directory that leads to snapshots
    HandleId inner = 0;
};

/// A version never changes: there is nothing to tell the kernel.
class NothingToDrop final : public KernelCache {
  public:
    void drop_inode(NodeId /*node*/) override {}
    void drop_entry(NodeId /*directory*/, const std::string& /*name*/) override {}
};

/// True for as long as it lives, whatever ends the coroutine.
class Looking {
  public:
    Looking(bool& flag, base::Event& ended) : flag_{flag}, ended_{ended} { flag_ = true; }
    ~Looking() {
        flag_ = false;
        ended_.pulse();
    }
    Looking(const Looking&) = delete;
    Looking& operator=(const Looking&) = delete;

  private:
    bool& flag_;
    base::Event& ended_;
};

base::Error stale() { return posix(static_cast<std::errc>(ESTALE)); }

}  // namespace

struct SnapshotFiles::State {
    State(base::NodeEnv env_in, objstore::Volume& volume_in, SnapshotFilesConfig config_in)
        : env{env_in},
          volume{volume_in},
          config{std::move(config_in)},
          nodes{std::make_shared<objstore::NodeCache>(config.tree.node_cache_bytes)},
          looked{env.executor} {}

    base::NodeEnv env;
    objstore::Volume& volume;
    SnapshotFilesConfig config;
    std::shared_ptr<objstore::NodeCache> nodes;
    NothingToDrop nobody;

    Places places;
    std::optional<std::uint64_t> shown;  // sequence of the volume's state that `places` is of
    bool looking = false;
    base::Event looked;  // pulsed when that ends
    std::optional<base::TimePoint> look_at;
    std::optional<base::Error> not_seen;  // what the last look met

    std::unordered_map<NodeId, Known> known;
    std::vector<NodeId> offered;  // of the last listing: kept only if remember() followed
    std::unordered_map<HandleId, OpenHandle> handles;
    HandleId next_handle = 1;
    std::map<TreeName, std::weak_ptr<OpenTree>> trees;
    std::list<OpenTreePtr> recent;  // the most recently used first

    static base::Task<base::Result<void>> look(State* self);
    static base::Task<base::Result<void>> read_places(State* self);

    [[nodiscard]] base::Result<Known> find(NodeId node) const;
    /// As it is now.
    [[nodiscard]] base::Result<PlacePtr> directory(const Known& known) const;
    NodeId node_of(const Known& what);
    /// Gives entries nodes that are known until the next such call: whoever asked remembers what it takes before
    /// anybody else has a turn, so nothing may be awaited behind this.
    void offer(std::vector<DirectoryEntry>& listed, const std::vector<std::pair<std::size_t, Known>>& offers);
    EntryReply give(const Known& what, Attributes attributes);
    [[nodiscard]] Attributes attributes(const Place& place) const;
    /// Of a place; nullopt if the snapshot does not have the directory that it is shown of.
    static base::Task<base::Result<std::optional<Attributes>>> attributes_of(State* self, Known place);
    [[nodiscard]] objstore::BlockRefPtr root_of(const Known& known_as) const;

    struct Inside {
        OpenTreePtr tree;
        NodeId node = 0;  // in it
        FileSystem* operator->() const { return tree->files.get(); }
    };
    /// The tree that a place or a node of a snapshot lies in.
    static base::Task<base::Result<Inside>> enter(State* self, Known known);
    /// The same of a file's node.
    static base::Task<base::Result<Inside>> enter_file(State* self, NodeId node);
    OpenTreePtr use(const TreeName& name);
    void keep(const OpenTreePtr& tree);
    HandleId hold(OpenTreePtr tree, HandleId inner);
    /// What the tree calls it; 0 if it is another's.
    [[nodiscard]] HandleId handle_in(const Inside& inside, HandleId handle) const;
    void let_go(NodeId node, HandleId handle, const std::function<void(const Inside&, HandleId)>& close);
};

SnapshotFiles::SnapshotFiles(std::unique_ptr<State> state) : state_{std::move(state)} {}
SnapshotFiles::~SnapshotFiles() = default;

SnapshotFiles::Reply<std::unique_ptr<SnapshotFiles>> SnapshotFiles::open(base::NodeEnv env, objstore::Volume& volume,
                                                                         SnapshotFilesConfig config) {
    config.files.atime = false;
    if (!config.list) config.list = [](objstore::Volume& of) { return of.snapshots(); };
    auto state = std::make_unique<State>(env, volume, std::move(config));
    BASE_CO_CHECK(co_await State::read_places(state.get()));
    state->look_at = env.clock.now() + state->config.look_again;
    co_return std::unique_ptr<SnapshotFiles>{new SnapshotFiles{std::move(state)}};
}

SnapshotFiles::Statistics SnapshotFiles::statistics() const {
    const auto open = std::ranges::count_if(state_->trees, [](const auto& each) { return !each.second.expired(); });
    return {static_cast<std::size_t>(open), state_->known.size()};
}

base::Duration SnapshotFiles::cache_time() const { return std::chrono::seconds{1}; }

// --- What there is

base::Task<base::Result<void>> SnapshotFiles::State::read_places(State* self) {
    auto& volume = self->volume;
    const auto sequence = volume.state().sequence;
    if (self->shown == sequence) co_return base::ok();
    BASE_CO_TRY(const auto snapshots, co_await self->config.list(volume));
    if (const auto& damage = volume.damage(); damage && !damage->complete) {
        self->env.log.write(base::Log::Level::warning, "fuse",
                            "snapshots of volume '" + volume.name() + "' may be missing: " + damage->error.message());
    }
    self->places = make_places(self->config.names(snapshots), snapshots);
    self->shown = sequence;
    self->known[kRootNode].place = self->places.at("");
    co_return base::ok();
}

base::Task<base::Result<void>> SnapshotFiles::State::look(State* self) {
    while (self->looking) co_await self->looked.wait();
    // What this machine committed is seen at once.
    const bool newer = !self->not_seen && self->shown != self->volume.state().sequence;
    if (self->look_at && self->env.clock.now() < *self->look_at && !newer) {
        if (self->not_seen) co_return *self->not_seen;
        co_return base::ok();
    }
    const Looking now{self->looking, self->looked};
    auto done = co_await self->volume.refresh();
    if (done) done = co_await read_places(self);
    self->not_seen.reset();
    if (!done) self->not_seen = done.error();
    self->look_at = self->env.clock.now() + self->config.look_again;
    co_return done;
}

// --- Nodes

base::Result<Known> SnapshotFiles::State::find(NodeId node) const {
    const auto found = known.find(node);
    if (found == known.end()) return stale();
    return found->second;
}

base::Result<PlacePtr> SnapshotFiles::State::directory(const Known& known_as) const {
    const auto found = places.find(known_as.place->path);
    if (found == places.end() || found->second->node != known_as.place->node)
        return posix(std::errc::no_such_file_or_directory);
    return found->second;
}

NodeId SnapshotFiles::State::node_of(const Known& what) {
    for (auto node = what.number();; node = usable(node + 1)) {
        const auto [at, is_new] = known.try_emplace(node, what);
        if (is_new) at->second.times = 0;
        if (at->second.same_as(what)) return node;
    }
}

void SnapshotFiles::State::offer(std::vector<DirectoryEntry>& listed,
                                 const std::vector<std::pair<std::size_t, Known>>& offers) {
    for (const auto each : std::exchange(offered, {})) {
        const auto found = known.find(each);
        if (found != known.end() && found->second.times == 0) known.erase(found);
    }
    for (const auto& [number, what] : offers) {
        auto& entry = listed.at(number);
        entry.node = entry.attributes->number = node_of(what);
        offered.push_back(entry.node);
    }
}

EntryReply SnapshotFiles::State::give(const Known& what, Attributes attributes) {
    EntryReply reply;
    reply.node = node_of(what);
    reply.attributes = std::move(attributes);
    reply.attributes.number = reply.node;
    ++known.at(reply.node).times;
    return reply;
}

Attributes SnapshotFiles::State::attributes(const Place& place) const {
    Attributes out;
    out.number = place.node;
    auto& inode = out.inode;
    const bool link = place.kind == Place::Kind::link;
    inode.type = link ? base::FileType::symlink : base::FileType::directory;
    inode.mode = link ? 0777 : config.owner_mode & ~config.files.umask;
    inode.uid = config.files.uid.value_or(config.owner_uid);
    inode.gid = config.files.gid.value_or(config.owner_gid);
    inode.size = place.link.size();
    // One link to a directory means that nobody counted what is in it.
    inode.nlink = place.kind == Place::Kind::directory ? 2 + place.directories : 1;
    inode.mtime = inode.ctime = inode.atime = inode.btime = base::Timestamp::from_ns(place.time_ns);
    return out;
}

base::Task<base::Result<std::optional<Attributes>>> SnapshotFiles::State::attributes_of(State* self, Known place) {
    if (!place.is_inside()) co_return std::optional{self->attributes(*place.place)};
    const objstore::Tree tree{self->volume.reader(), place.place->tree, self->nodes};
    BASE_CO_TRY(auto inode, co_await objstore::find_inode(tree, place.view));
    if (!inode || inode->type != base::FileType::directory) co_return std::optional<Attributes>{};
    Attributes out;
    out.allocated_bytes = inode->size;
    out.inode = std::move(*inode);
    out.inode.uid = self->config.files.uid.value_or(out.inode.uid);
    out.inode.gid = self->config.files.gid.value_or(out.inode.gid);
    out.inode.mode &= ~self->config.files.umask;
    co_return std::optional{std::move(out)};
}

SnapshotFiles::Reply<EntryReply> SnapshotFiles::view(objstore::InodeNumber directory, NodeId above) {
    const Known top{state_->places.at(""), kRootNode, above, directory, 0};
    co_return state_->give(top, state_->attributes(*top.place));
}

bool SnapshotFiles::is_view(NodeId node) const {
    const auto found = state_->known.find(node);
    return found != state_->known.end() && found->second.view != 0 && found->second.leads_to_snapshots();
}

base::Result<NodeId> SnapshotFiles::above(NodeId node) const {
    BASE_TRY(const Known known, state_->find(node));
    return known.above;
}

void SnapshotFiles::remember(NodeId node) {
    if (const auto found = state_->known.find(node); found != state_->known.end()) ++found->second.times;
}

void SnapshotFiles::forget(NodeId node, std::uint64_t times) {
    const auto found = state_->known.find(node);
    if (found == state_->known.end() || node == kRootNode) return;
    found->second.times -= std::min(times, found->second.times);
    if (found->second.times == 0) state_->known.erase(found);
}

SnapshotFiles::Reply<EntryReply> SnapshotFiles::lookup(NodeId directory, std::string name) {
    State& state = *state_;
    BASE_CO_TRY(Known at, state.find(directory));
    if (name == "." || name == "..") {
        const auto wanted = name == "." ? directory : at.above;
        BASE_CO_TRY(at, state.find(wanted));
        BASE_CO_TRY(auto shown, co_await attributes(wanted));
        co_return state.give(at, std::move(shown));
    }
    if (at.leads_to_snapshots()) {
        BASE_CO_CHECK(co_await State::look(&state));
        const auto found = state.places.find(joined(at.place->path, name));
        if (found == state.places.end()) co_return EntryReply{};
        const Known place{found->second, kRootNode, directory, at.view, 0};
        BASE_CO_TRY(auto shown, co_await State::attributes_of(&state, place));
        if (!shown) co_return EntryReply{};
        co_return state.give(place, std::move(*shown));
    }
    BASE_CO_TRY(const auto inside, co_await State::enter(&state, at));
    BASE_CO_TRY(auto found, co_await inside->lookup(inside.node, std::move(name)));
    if (found.node == 0) co_return EntryReply{};
    co_return state.give(at.with(found.node, directory), std::move(found.attributes));
}

SnapshotFiles::Reply<Attributes> SnapshotFiles::attributes(NodeId node) {
    BASE_CO_TRY(const Known known, state_->find(node));
    if (!known.is_inside()) co_return state_->attributes(*known.place);
    BASE_CO_TRY(const auto inside, co_await State::enter(state_.get(), known));
    BASE_CO_TRY(auto shown, co_await inside->attributes(inside.node));
    shown.number = node;
    co_return shown;
}

SnapshotFiles::Reply<std::string> SnapshotFiles::read_link(NodeId node) {
    BASE_CO_TRY(const Known known, state_->find(node));
    if (!known.is_inside()) {
        if (known.place->kind == Place::Kind::link) co_return known.place->link;
        co_return posix(std::errc::invalid_argument);
    }
    BASE_CO_TRY(const auto inside, co_await State::enter(state_.get(), known));
    co_return co_await inside->read_link(inside.node);
}

SnapshotFiles::Reply<base::Bytes> SnapshotFiles::get_xattr(NodeId node, std::string name) {
    BASE_CO_TRY(const Known known, state_->find(node));
    if (!known.is_inside()) {
        const auto& told = state_->config.files;
        if (node == kRootNode && name == "user.pelago.volume") co_return base::to_bytes(told.volume);
        if (node == kRootNode && name == "user.pelago.pid") co_return base::to_bytes(std::to_string(told.pid));
        if (node == kRootNode && name == "user.pelago.sync") co_return base::Bytes{};  // there is nothing to store
        co_return posix(std::errc::no_message_available);
    }
    if (known.inner == kRootNode && name == kTimeName) co_return base::to_bytes(std::to_string(known.place->time_ns));
    BASE_CO_TRY(const auto inside, co_await State::enter(state_.get(), known));
    co_return co_await inside->get_xattr(inside.node, std::move(name));
}

SnapshotFiles::Reply<std::vector<std::string>> SnapshotFiles::list_xattrs(Caller caller, NodeId node) {
    BASE_CO_TRY(const Known known, state_->find(node));
    if (!known.is_inside()) co_return std::vector<std::string>{};
    BASE_CO_TRY(const auto inside, co_await State::enter(state_.get(), known));
    co_return co_await inside->list_xattrs(caller, inside.node);
}

SnapshotFiles::Reply<SpaceReply> SnapshotFiles::space() { co_return shown_space(state_->config.files, {}); }

// --- Trees

OpenTreePtr SnapshotFiles::State::use(const TreeName& name) {
    const auto found = trees.find(name);
    auto tree = found == trees.end() ? nullptr : found->second.lock();
    if (tree != nullptr && (recent.empty() || recent.front() != tree)) keep(tree);
    return tree;
}

void SnapshotFiles::State::keep(const OpenTreePtr& tree) {
    recent.remove(tree);
    recent.push_front(tree);
    if (recent.size() > config.max_trees) recent.pop_back();
}

// It may have been written again since it was found, with the same content in other blocks.
objstore::BlockRefPtr SnapshotFiles::State::root_of(const Known& known_as) const {
    const auto now = places.find(known_as.place->path);
    const bool listed = now != places.end() && now->second->node == known_as.place->node;
    return listed ? now->second->tree : known_as.place->tree;
}

base::Task<base::Result<SnapshotFiles::State::Inside>> SnapshotFiles::State::enter(State* self, Known known) {
    if (known.place->kind != Place::Kind::snapshot) co_return posix(std::errc::not_a_directory);
    const auto root = self->root_of(known);
    const TreeName name{root->id, known.view};
    auto tree = self->use(name);
    if (tree == nullptr) {
        auto opened = std::make_shared<OpenTree>();
        BASE_CO_TRY(opened->tree, co_await objstore::WorkingTree::open_version(self->env, self->volume, root,
                                                                               self->config.tree, self->nodes));
        tree = self->use(name);  // somebody else may have been quicker
        if (tree == nullptr) {
            auto config = self->config.files;
            if (known.view != 0) config.root = known.view;
            opened->files = std::make_unique<FileSystem>(self->env, *opened->tree, self->nobody, std::move(config));
            std::erase_if(self->trees, [](const auto& each) { return each.second.expired(); });
            self->trees[name] = opened;
            self->keep(opened);
            tree = std::move(opened);
        }
    }
    Inside inside;
    inside.tree = std::move(tree);
    inside.node = known.inner;
    co_return inside;
}

base::Task<base::Result<SnapshotFiles::State::Inside>> SnapshotFiles::State::enter_file(State* self, NodeId node) {
    BASE_CO_TRY(const Known known, self->find(node));
    if (!known.is_inside()) co_return posix(std::errc::is_a_directory);
    co_return co_await enter(self, known);
}

// --- Handles

HandleId SnapshotFiles::State::hold(OpenTreePtr tree, HandleId inner) {
    handles.emplace(next_handle, OpenHandle{std::move(tree), inner});
    return next_handle++;
}

HandleId SnapshotFiles::State::handle_in(const Inside& inside, HandleId handle) const {
    const auto held = handles.find(handle);
    return held == handles.end() || held->second.tree != inside.tree ? 0 : held->second.inner;
}

void SnapshotFiles::State::let_go(NodeId node, HandleId handle,
                                  const std::function<void(const Inside&, HandleId)>& close) {
    const auto found = handles.find(handle);
    if (found == handles.end()) return;
    const auto held = std::move(found->second);
    handles.erase(found);
    if (held.tree == nullptr) return;
    const auto at = known.find(node);
    close(Inside{held.tree, at == known.end() ? 0 : at->second.inner}, held.inner);
}

SnapshotFiles::Reply<OpenReply> SnapshotFiles::open(NodeId node, OpenFlags flags) {
    if (flags.write || flags.truncate) co_return posix(std::errc::read_only_file_system);
    BASE_CO_TRY(const auto inside, co_await State::enter_file(state_.get(), node));
    BASE_CO_TRY(auto reply, co_await inside->open(inside.node, flags));
    reply.handle = state_->hold(inside.tree, reply.handle);
    co_return reply;
}

SnapshotFiles::Reply<std::vector<objstore::ReadPiece>> SnapshotFiles::read(NodeId node, HandleId /*handle*/,
                                                                           std::uint64_t offset, std::uint64_t length) {
    BASE_CO_TRY(const auto inside, co_await State::enter_file(state_.get(), node));
    co_return co_await inside->read(inside.node, 0, offset, length);
}

SnapshotFiles::Reply<std::uint64_t> SnapshotFiles::seek(NodeId node, std::uint64_t offset, bool hole) {
    BASE_CO_TRY(const auto inside, co_await State::enter_file(state_.get(), node));
    co_return co_await inside->seek(inside.node, offset, hole);
}

SnapshotFiles::Reply<void> SnapshotFiles::flush(NodeId node, HandleId handle, std::uint64_t lock_owner) {
    BASE_CO_TRY(const auto inside, co_await State::enter_file(state_.get(), node));
    co_return co_await inside->flush(inside.node, state_->handle_in(inside, handle), lock_owner);
}

void SnapshotFiles::release(NodeId node, HandleId handle, std::optional<std::uint64_t> flock_owner) {
    state_->let_go(node, handle, [&](const State::Inside& inside, HandleId inner) {
        inside->release(inside.node, inner, flock_owner);
    });
}

SnapshotFiles::Reply<void> SnapshotFiles::sync(NodeId /*node*/, HandleId /*handle*/) { co_return base::ok(); }

// --- Directories

SnapshotFiles::Reply<OpenReply> SnapshotFiles::open_directory(NodeId node) {
    BASE_CO_TRY(const Known known, state_->find(node));
    if (known.leads_to_snapshots()) {
        OpenReply reply;
        reply.handle = state_->hold(nullptr, 0);
        co_return reply;
    }
    BASE_CO_TRY(const auto inside, co_await State::enter(state_.get(), known));
    BASE_CO_TRY(auto reply, co_await inside->open_directory(inside.node));
    reply.handle = state_->hold(inside.tree, reply.handle);
    co_return reply;
}

void SnapshotFiles::release_directory(NodeId node, HandleId handle) {
    state_->let_go(node, handle,
                   [](const State::Inside& inside, HandleId inner) { inside->release_directory(inside.node, inner); });
}

SnapshotFiles::Reply<std::vector<DirectoryEntry>> SnapshotFiles::list(NodeId node, std::uint64_t offset,
                                                                      std::size_t limit, bool with_attributes) {
    State& state = *state_;
    BASE_CO_TRY(const Known at, state.find(node));
    std::vector<DirectoryEntry> listed;
    std::vector<std::pair<std::size_t, Known>> offers;  // entry, and what it is
    if (at.leads_to_snapshots()) {
        BASE_CO_CHECK(co_await State::look(&state));
        BASE_CO_TRY(const auto directory, state.directory(at));
        if (offset == 0) listed.push_back({".", node, base::FileType::directory, 1, std::nullopt});
        if (offset <= 1) listed.push_back({"..", at.above, base::FileType::directory, 2, std::nullopt});
        for (auto each = directory->names.upper_bound(std::max<std::uint64_t>(offset, 2));
             each != directory->names.end() && listed.size() < limit; ++each) {
            const auto found = state.places.find(joined(directory->path, each->second));
            if (found == state.places.end()) continue;  // gone while this was read
            const Known place{found->second, kRootNode, node, at.view, 0};
            DirectoryEntry entry{each->second, place.number(), base::FileType::directory, each->first, std::nullopt};
            if (!place.place->is_directory()) entry.type = base::FileType::symlink;
            if (with_attributes || place.is_inside()) {
                auto known = co_await State::attributes_of(&state, place);
                // A version that lost a block is listed: it can be removed, and the others be seen.
                const bool lost = !known && objstore::is_isolated_damage(known.error().code());
                if (!known && !lost) co_return known.error();
                if (known && !*known) continue;
                if (known) entry.attributes = *known;
                if (lost) {
                    listed.push_back(std::move(entry));
                    continue;
                }
                if (with_attributes) offers.emplace_back(listed.size(), place);
            }
            listed.push_back(std::move(entry));
        }
        listed.resize(std::min(listed.size(), limit));
        std::erase_if(offers, [&](const auto& offer) { return offer.first >= listed.size(); });
        state.offer(listed, offers);
        co_return listed;
    }
    BASE_CO_TRY(const auto inside, co_await State::enter(&state, at));
    BASE_CO_TRY(listed, co_await inside->list(inside.node, offset, limit, with_attributes));
    for (std::size_t i = 0; i < listed.size(); ++i) {
        auto& entry = listed[i];
        if (entry.is_dot()) {
            entry.node = entry.name == "." ? node : at.above;
        } else if (entry.attributes) {
            offers.emplace_back(i, at.with(entry.node, node));
        } else {
            entry.node = at.with(entry.node, node).number();
        }
    }
    state.offer(listed, offers);
    co_return listed;
}

SnapshotFiles::Reply<void> SnapshotFiles::sync_directory(NodeId /*node*/) { co_return base::ok(); }

// --- Locks

SnapshotFiles::Reply<std::optional<Lock>> SnapshotFiles::test_lock(NodeId node, Lock lock) {
    BASE_CO_TRY(const auto inside, co_await State::enter_file(state_.get(), node));
    co_return co_await inside->test_lock(inside.node, lock);
}

SnapshotFiles::Reply<void> SnapshotFiles::set_lock(NodeId node, HandleId handle, Lock lock, bool wait) {
    BASE_CO_TRY(const auto inside, co_await State::enter_file(state_.get(), node));
    co_return co_await inside->set_lock(inside.node, state_->handle_in(inside, handle), lock, wait);
}

SnapshotFiles::Reply<void> SnapshotFiles::set_flock(NodeId node, Lock lock, bool wait) {
    BASE_CO_TRY(const auto inside, co_await State::enter_file(state_.get(), node));
    co_return co_await inside->set_flock(inside.node, lock, wait);
}

}  // namespace fusefs
