#include "base/sim/disk.hpp"

#include <cassert>
#include <exception>
#include <utility>

#include "base/error.hpp"
#include "cancellation.hpp"
#include "disk_state.hpp"

namespace base::sim {

std::string_view to_string(PowerLoss loss) {
    switch (loss) {
        case PowerLoss::lost: return "lost";
        case PowerLoss::torn: return "torn";
        case PowerLoss::reordered: return "reordered";
        case PowerLoss::kept: return "kept";
    }
    return "?";
}

std::string_view to_string(DiskCall call) {
    switch (call) {
        case DiskCall::read: return "read";
        case DiskCall::write: return "write";
        case DiskCall::truncate: return "truncate";
        case DiskCall::sync: return "sync";
        case DiskCall::create: return "create";
        case DiskCall::rename: return "rename";
        case DiskCall::remove: return "remove";
        case DiskCall::make_directory: return "make-directory";
        case DiskCall::sync_directory: return "sync-directory";
    }
    return "?";
}

std::string_view to_string(CrashSide side) {
    switch (side) {
        case CrashSide::before: return "before";
        case CrashSide::during: return "during";
        case CrashSide::after: return "after";
    }
    return "?";
}

// --- calls

namespace {

std::string site_of(DiskCall call, std::string_view path) {
    return std::string{to_string(call)} + " " + (path.empty() ? "." : std::string{path});
}

/// Inside destructors a dead door must not throw.
Error dead_door() { return Error{Errc::stopped, "the process is dead"}; }

}  // namespace

#define SIM_REQUIRE_ALIVE(state, process)                                         \
    if ((process).dead) {                                                         \
        if ((state).gentle || std::uncaught_exceptions() > 0) return dead_door(); \
        throw_cancelled();                                                        \
    }

void Disk::State::charge(bool sync, std::uint64_t bytes) {
    time += options.call_time;
    if (sync) time += options.sync_time;
    if (options.bytes_per_second != 0) time += Duration{bytes * 1'000'000'000 / options.bytes_per_second};
}

std::optional<Error> Disk::State::failing(DiskCall call) {
    const auto index = static_cast<std::size_t>(call);
    const auto number = ++calls[index];
    const auto& failure = failures[index];
    if (failure.at != 0 && (number == failure.at || (failure.and_later && number > failure.at))) return failure.error;
    return std::nullopt;
}

void Disk::State::crash(DiskProcess& victim, std::string site) {
    crashed = true;
    crash_site = std::move(site);
    crash_boundary = 0;
    victim.dead = true;
    if (&victim == process.get()) process = std::make_shared<DiskProcess>();
    if (const auto callback = std::exchange(on_crash, nullptr)) callback();
    throw_cancelled();
}

template <class Effect, class Partial>
Result<void> Disk::State::boundary(DiskCall call, DiskProcess& caller, std::string site, Effect effect,
                                   Partial partial) {
    const auto number = ++boundaries;
    const bool dies = number == crash_boundary;
    if (dies && crash_side == CrashSide::before) crash(caller, std::move(site));
    auto error = failing(call);
    if (!error && number == failing_boundary) error = boundary_error;
    if (!error && read_only && call != DiskCall::sync && call != DiskCall::sync_directory) error = Errc::read_only;
    if (dies && crash_side == CrashSide::during) {
        if (!error) partial();
        crash(caller, std::move(site));
    }
    Result<void> result = ok();
    if (error) {
        // A device that fills up, or fails, in the middle of a write has taken a part of it.
        if (*error == Errc::no_space || *error == Errc::io_failed) partial();
        result = error->with(site);
    } else {
        result = effect();
    }
    note(mix(mix(static_cast<std::uint64_t>(call), site), result.has_value() ? 1U : 0U));
    if (dies) crash(caller, std::move(site));
    return result;
}

namespace {

void nothing() {}

class SimFile final : public File {
  public:
    SimFile(std::shared_ptr<Disk::State> state, std::shared_ptr<DiskProcess> process, DiskNodePtr node,
            std::string path, bool writable)
        : state_{std::move(state)},
          process_{std::move(process)},
          node_{std::move(node)},
          path_{std::move(path)},
          writable_{writable} {}

    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(false, out.size());
        if (offset > SparseBytes::kMaxSize) return Error{Errc::bad_argument, path_};
        if (const auto error = state_->failing(DiskCall::read)) return error->with(path_);
        return node_->data.read(offset, out);
    }

    Result<void> write_at(std::uint64_t offset, std::span<const ByteView> parts) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        std::uint64_t length = 0;
        for (const auto part : parts) length += part.size();
        state_->charge(false, length);
        if (!writable_) return Error{Errc::io_failed, path_ + " is open to read"};
        if (offset > SparseBytes::kMaxSize || length > SparseBytes::kMaxSize - offset) {
            return Error{Errc::bad_argument, path_};
        }
        auto site = site_of(DiskCall::write, path_) + " " + std::to_string(offset) + "+" + std::to_string(length);
        // A signal can cut a large write short, and so does a full disk.
        const auto partial = [&] {
            const Bytes whole = joined(parts, length);
            const auto some = ByteView{whole}.first(static_cast<std::size_t>(state_->rng.below(length + 1)));
            if (state_->reserve(*node_, offset, some.size())) state_->write(node_, offset, std::span{&some, 1});
        };
        const auto effect = [&]() -> Result<void> {
            if (auto room = state_->reserve(*node_, offset, length); !room) {
                partial();
                return room;
            }
            state_->write(node_, offset, parts);
            for (const auto part : parts) state_->trace = mix(state_->trace, part);
            return ok();
        };
        return state_->boundary(DiskCall::write, *process_, std::move(site), effect, partial);
    }

    Result<void> sync() override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(true, 0);
        bool reached = false;
        const auto effect = [&]() -> Result<void> {
            reached = true;
            state_->make_durable(node_);
            return ok();
        };
        auto result = state_->boundary(DiskCall::sync, *process_, site_of(DiskCall::sync, path_), effect, nothing);
        if (!reached) state_->doom(node_);
        return result;
    }

    Result<std::uint64_t> size() override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        return node_->data.size();
    }

    Result<void> truncate(std::uint64_t size) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(false, 0);
        if (!writable_) return Error{Errc::bad_argument, path_ + " is open to read"};
        if (size > SparseBytes::kMaxSize) return Error{Errc::bad_argument, path_};
        auto site = site_of(DiskCall::truncate, path_) + " " + std::to_string(size);
        const auto effect = [&]() -> Result<void> {
            state_->truncate(node_, size);
            return ok();
        };
        return state_->boundary(DiskCall::truncate, *process_, std::move(site), effect, nothing);
    }

  private:
    static Bytes joined(std::span<const ByteView> parts, std::uint64_t length) {
        Bytes whole;
        whole.reserve(static_cast<std::size_t>(length));
        for (const auto part : parts) whole.insert(whole.end(), part.begin(), part.end());
        return whole;
    }

    std::shared_ptr<Disk::State> state_;
    std::shared_ptr<DiskProcess> process_;
    DiskNodePtr node_;
    std::string path_;
    bool writable_;
};

class SimLock final : public DirectoryLock {
  public:
    SimLock(std::shared_ptr<Disk::State> state, std::uint64_t file, std::shared_ptr<DiskProcess> holder)
        : state_{std::move(state)}, file_{file}, holder_{std::move(holder)} {}
    ~SimLock() override {
        const auto found = state_->locks.find(file_);
        if (found != state_->locks.end() && found->second.lock() == holder_) state_->locks.erase(found);
    }
    SimLock(const SimLock&) = delete;
    SimLock& operator=(const SimLock&) = delete;

  private:
    std::shared_ptr<Disk::State> state_;
    std::uint64_t file_;
    std::shared_ptr<DiskProcess> holder_;
};

/// All calls, in the name of one process.
class ProcessDoor final : public base::Disk {
  public:
    ProcessDoor(std::shared_ptr<sim::Disk::State> state, std::shared_ptr<DiskProcess> process)
        : state_{std::move(state)}, process_{std::move(process)} {}

    Result<std::unique_ptr<File>> open(std::string_view path, Mode mode) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(false, 0);
        BASE_TRY(const auto place, state_->group_of(path));
        const auto found = place.parent->cached.find(place.name);
        DiskNodePtr node;
        if (found != place.parent->cached.end()) {
            node = found->second;
            if (mode == Mode::create_new) return Error{Errc::exists, std::string{path}};
            if (node->directory) return Error{Errc::bad_argument, std::string{path} + " is no regular file"};
            if (mode != Mode::read && state_->read_only) return Error{Errc::read_only, std::string{path}};
        } else {
            if (mode == Mode::read || mode == Mode::read_write) return Error{Errc::not_found, std::string{path}};
            const auto effect = [&]() -> Result<void> {
                node = state_->make_node(/*directory=*/false);
                state_->set_name(place, node);
                return ok();
            };
            BASE_CHECK(state_->boundary(DiskCall::create, *process_, site_of(DiskCall::create, path), effect, nothing));
        }
        return std::make_unique<SimFile>(state_, process_, std::move(node), std::string{path}, mode != Mode::read);
    }

    Result<void> rename(std::string_view from, std::string_view to) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(false, 0);
        BASE_TRY(const auto source, state_->group_of(from));
        BASE_TRY(const auto target, state_->group_of(to));
        const auto moved = source.parent->cached.find(source.name);
        if (moved == source.parent->cached.end()) return Error{Errc::not_found, std::string{from}};
        const auto there = target.parent->cached.find(target.name);
        if (there != target.parent->cached.end()) {
            if (there->second == moved->second) return ok();
            if (there->second->directory != moved->second->directory) return Error{Errc::bad_argument, std::string{to}};
            if (!there->second->cached.empty()) return Error{Errc::exists, std::string{to}};
        }
        if (moved->second->directory && (std::string{to} + "/").starts_with(std::string{from} + "/")) {
            return Error{Errc::bad_argument, std::string{to} + " lies inside " + std::string{from}};
        }
        const auto effect = [&]() -> Result<void> {
            state_->move_name(source, target);
            return ok();
        };
        auto site = site_of(DiskCall::rename, from) + " " + std::string{to};
        return state_->boundary(DiskCall::rename, *process_, std::move(site), effect, nothing);
    }

    Result<void> remove(std::string_view path) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(false, 0);
        BASE_TRY(const auto place, state_->group_of(path));
        const auto found = place.parent->cached.find(place.name);
        if (found == place.parent->cached.end()) return Error{Errc::not_found, std::string{path}};
        if (!found->second->cached.empty()) return Error{Errc::exists, std::string{path} + " is not empty"};
        const auto effect = [&]() -> Result<void> {
            state_->remove_name(place);
            return ok();
        };
        return state_->boundary(DiskCall::remove, *process_, site_of(DiskCall::remove, path), effect, nothing);
    }

    Result<void> make_directory(std::string_view path) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(false, 0);
        BASE_TRY(const auto place, state_->group_of(path));
        const auto found = place.parent->cached.find(place.name);
        if (found != place.parent->cached.end()) {
            if (found->second->directory) return ok();
            return Error{Errc::exists, std::string{path}};
        }
        const auto effect = [&]() -> Result<void> {
            state_->set_name(place, state_->make_node(/*directory=*/true));
            return ok();
        };
        auto site = site_of(DiskCall::make_directory, path);
        return state_->boundary(DiskCall::make_directory, *process_, std::move(site), effect, nothing);
    }

    Result<void> sync_directory(std::string_view path) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        state_->charge(true, 0);
        BASE_TRY(const auto directory, state_->find_directory(path));
        const auto effect = [&]() -> Result<void> {
            state_->make_names_durable(directory);
            return ok();
        };
        auto site = site_of(DiskCall::sync_directory, path);
        return state_->boundary(DiskCall::sync_directory, *process_, std::move(site), effect, nothing);
    }

    Result<std::vector<Entry>> list(std::string_view path) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        BASE_TRY(const auto directory, state_->find_directory(path));
        std::vector<Entry> entries;
        for (const auto& [name, node] : directory->cached) entries.push_back({name, node->directory});
        return entries;
    }

    Result<DiskSpace> space() override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        const std::uint64_t used = state_->used_pages * SparseBytes::kPage;
        const auto total = state_->options.capacity_bytes;
        return DiskSpace{total, used < total ? total - used : 0};
    }

    Result<std::unique_ptr<DirectoryLock>> lock(std::string_view path) override {
        SIM_REQUIRE_ALIVE(*state_, *process_)
        BASE_CHECK(open(path, state_->read_only ? Mode::read : Mode::create));
        BASE_TRY(const auto node, state_->find(path));
        const auto found = state_->locks.find(node->id);
        if (found != state_->locks.end()) {
            const auto holder = found->second.lock();
            if (holder && !holder->dead) return Error{Errc::locked, std::string{path}};
        }
        state_->locks[node->id] = process_;
        return std::make_unique<SimLock>(state_, node->id, process_);
    }

  private:
    std::shared_ptr<sim::Disk::State> state_;
    std::shared_ptr<DiskProcess> process_;
};

}  // namespace

// --- Disk

Disk::Disk(std::uint64_t seed, DiskOptions options) : state_{std::make_shared<State>(seed, options)} {}
Disk::~Disk() = default;

std::unique_ptr<base::Disk> Disk::process_door() { return std::make_unique<ProcessDoor>(state_, state_->process); }

Result<std::unique_ptr<File>> Disk::open(std::string_view path, Mode mode) { return process_door()->open(path, mode); }
Result<void> Disk::rename(std::string_view from, std::string_view to) { return process_door()->rename(from, to); }
Result<void> Disk::remove(std::string_view path) { return process_door()->remove(path); }
Result<void> Disk::make_directory(std::string_view path) { return process_door()->make_directory(path); }
Result<void> Disk::sync_directory(std::string_view path) { return process_door()->sync_directory(path); }
Result<std::vector<base::Disk::Entry>> Disk::list(std::string_view path) { return process_door()->list(path); }
Result<DiskSpace> Disk::space() { return process_door()->space(); }
Result<std::unique_ptr<DirectoryLock>> Disk::lock(std::string_view path) { return process_door()->lock(path); }

void Disk::kill() {
    state_->process->dead = true;
    state_->process = std::make_shared<DiskProcess>();
}

void Disk::power_off(PowerLoss loss) {
    kill();
    state_->lose_power(loss);
}

std::uint64_t Disk::boundaries() const { return state_->boundaries; }

void Disk::crash_at(std::uint64_t number, CrashSide side) {
    assert(number > state_->boundaries && "that boundary is past");
    state_->crash_boundary = number;
    state_->crash_side = side;
    state_->crashed = false;
    state_->crash_site.clear();
}

void Disk::on_crash(std::function<void()> callback) { state_->on_crash = std::move(callback); }
bool Disk::crashed() const { return state_->crashed; }
const std::string& Disk::crash_site() const { return state_->crash_site; }

void Disk::cancel_crash() {
    state_->crash_boundary = 0;
    state_->on_crash = nullptr;
}

std::uint64_t Disk::calls(DiskCall call) const { return state_->calls[static_cast<std::size_t>(call)]; }

void Disk::fail(DiskCall call, std::uint64_t nth, Error error, bool and_later) {
    assert(nth > 0);
    state_->failures[static_cast<std::size_t>(call)] = {calls(call) + nth, and_later, std::move(error)};
}

void Disk::fail_at_boundary(std::uint64_t number, Error error) {
    state_->failing_boundary = number;
    state_->boundary_error = std::move(error);
}

void Disk::fail_nothing() {
    state_->failures = {};
    state_->failing_boundary = 0;
}

void Disk::set_capacity(std::uint64_t bytes) { state_->options.capacity_bytes = bytes; }
void Disk::set_read_only(bool read_only) { state_->read_only = read_only; }
void Disk::set_gentle(bool gentle) { state_->gentle = gentle; }

void Disk::set_speed(Duration call_time, Duration sync_time, std::uint64_t bytes_per_second) {
    state_->options.call_time = call_time;
    state_->options.sync_time = sync_time;
    state_->options.bytes_per_second = bytes_per_second;
}

Duration Disk::take_time() { return std::exchange(state_->time, {}); }
std::uint64_t Disk::used_bytes() const { return state_->used_pages * SparseBytes::kPage; }
std::uint64_t Disk::trace_hash() const { return state_->trace; }

std::size_t Disk::pending() const {
    std::size_t count = state_->name_operations.size();
    for (const auto& [id, node] : state_->dirty) count += node->changes.size();
    return count;
}

// --- damage and looking

void Disk::flip_bit(std::string_view path, std::uint64_t offset, unsigned bit) {
    auto& data = state_->must_find(path)->data;
    std::uint8_t byte = 0;
    [[maybe_unused]] const auto got = data.read(offset, std::span{&byte, 1});
    assert(got == 1 && bit < 8);
    byte = static_cast<std::uint8_t>(byte ^ (1U << bit));
    data.write(offset, std::span{&byte, 1});
}

void Disk::zero_page(std::string_view path, std::uint64_t offset) {
    auto& data = state_->must_find(path)->data;
    const auto begin = offset - offset % SparseBytes::kPage;
    assert(begin < data.size());
    const Bytes zeros(static_cast<std::size_t>(std::min(SparseBytes::kPage, data.size() - begin)));
    data.write(begin, zeros);
}

void Disk::cut(std::string_view path, std::uint64_t size) {
    const auto node = state_->must_find(path);
    assert(size <= node->data.size());
    const auto before = node->data.pages();
    node->data.resize(size);
    state_->used_pages += node->data.pages() - before;
}

void Disk::swap(std::string_view a, std::string_view b) {
    std::swap(state_->must_find(a)->data, state_->must_find(b)->data);
}

void Disk::erase(std::string_view path) {
    const auto node = state_->must_find(path);
    const auto place = state_->group_of(path);
    state_->used_pages -= node->data.pages();
    place->parent->cached.erase(place->name);
    place->parent->durable.erase(place->name);
}

void Disk::overwrite(std::string_view path, std::uint64_t offset, ByteView bytes) {
    const auto node = state_->must_find(path);
    const auto before = node->data.pages();
    node->data.write(offset, bytes);
    state_->used_pages += node->data.pages() - before;
}

namespace {

void list_files(const DiskNode& directory, const std::string& prefix, std::vector<std::string>& out) {
    for (const auto& [name, node] : directory.cached) {
        if (node->directory) {
            list_files(*node, prefix + name + "/", out);
        } else {
            out.push_back(prefix + name);
        }
    }
}

}  // namespace

std::vector<std::string> Disk::files() const {
    std::vector<std::string> out;
    list_files(*state_->root, "", out);
    std::sort(out.begin(), out.end());
    return out;
}

std::optional<Bytes> Disk::contents(std::string_view path) const {
    const auto node = state_->find(path);
    if (!node || (*node)->directory) return std::nullopt;
    return (*node)->data.all();
}

// --- LyingDisk

namespace {

class LyingFile final : public File {
  public:
    LyingFile(std::unique_ptr<File> file, DiskFaults faults, std::shared_ptr<std::uint64_t> syncs)
        : file_{std::move(file)}, faults_{faults}, syncs_{std::move(syncs)} {}

    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
        return file_->read_at(offset, out);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const ByteView> parts) override {
        return file_->write_at(offset, parts);
    }
    Result<void> sync() override {
        if (++*syncs_ == faults_.skip_sync_number || faults_.skip_every_sync) return ok();
        return file_->sync();
    }
    Result<std::uint64_t> size() override { return file_->size(); }
    Result<void> truncate(std::uint64_t size) override { return file_->truncate(size); }

  private:
    std::unique_ptr<File> file_;
    DiskFaults faults_;
    std::shared_ptr<std::uint64_t> syncs_;
};

}  // namespace

LyingDisk::LyingDisk(base::Disk& disk, DiskFaults faults)
    : disk_{disk}, faults_{faults}, syncs_{std::make_shared<std::uint64_t>(0)} {}

Result<std::unique_ptr<File>> LyingDisk::open(std::string_view path, Mode mode) {
    BASE_TRY(auto file, disk_.open(path, mode));
    return std::make_unique<LyingFile>(std::move(file), faults_, syncs_);
}

Result<void> LyingDisk::sync_directory(std::string_view path) {
    if (++directory_syncs_ == faults_.skip_directory_sync_number || faults_.skip_every_directory_sync) return ok();
    return disk_.sync_directory(path);
}

std::uint64_t LyingDisk::syncs() const { return *syncs_; }

}  // namespace base::sim
