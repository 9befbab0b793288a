#include <exception>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/task_group.hpp"
#include "objstore/block_io.hpp"
#include "objstore/error.hpp"

namespace objstore {

using OpenedPtr = std::shared_ptr<const OpenedBlock>;

namespace {

/// Counts one more for as long as it lives, whatever ends the coroutine.
class Waiting {
  public:
    explicit Waiting(unsigned& count) : count_{count} { ++count_; }
    ~Waiting() { --count_; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

  private:
    unsigned& count_;
};

}  // namespace

// Shared with the fetches under way, which may end after the reader.
struct BlockReader::State {
    State(base::NodeEnv doors, past::Storage& store, base::Guid tag, ReaderConfig limits)
        : env{doors}, storage{store}, volume_tag{tag}, config{limits}, fetching{env.executor} {}

    // One fetch that any number of readers wait for.
    struct Flight {
        explicit Flight(const base::Executor& executor) : arrived{executor} {}
        base::Event arrived;
        unsigned waiting = 0;
        std::optional<base::Result<OpenedPtr>> result;
        std::exception_ptr failure;  // cancelled, or out of memory: for everybody who waits
    };
    struct Cached {
        base::Guid id;
        OpenedPtr block;
        std::size_t bytes = 0;
    };

    static base::Task<void> fetch(std::shared_ptr<State> self, BlockRefPtr ref, std::shared_ptr<Flight> flight);
    static base::Task<base::Result<base::SharedBytes>> get(std::shared_ptr<State> self, BlockRefPtr ref,
                                                           std::shared_ptr<Flight> flight);
    static base::Task<base::Result<OpenedPtr>> fetch_and_open(std::shared_ptr<State> self, BlockRefPtr ref,
                                                              std::shared_ptr<Flight> flight);
    OpenedPtr cached(const base::Guid& id);
    void remember(const base::Guid& id, const OpenedPtr& block);
    std::shared_ptr<Flight> start(const std::shared_ptr<State>& self, const BlockRefPtr& ref);

    base::NodeEnv env;
    past::Storage& storage;
    base::Guid volume_tag;
    ReaderConfig config;
    base::Duration patience = base::Duration::zero();
    std::uint64_t fetched = 0;
    std::list<Cached> recent;  // the most recently used first
    std::unordered_map<base::Guid, std::list<Cached>::iterator> by_id;
    std::size_t cached_bytes = 0;
    std::unordered_map<base::Guid, std::shared_ptr<Flight>> flights;
    base::TaskGroup fetching;
};

OpenedPtr BlockReader::State::cached(const base::Guid& id) {
    const auto found = by_id.find(id);
    if (found == by_id.end()) return nullptr;
    recent.splice(recent.begin(), recent, found->second);
    return found->second->block;
}

void BlockReader::State::remember(const base::Guid& id, const OpenedPtr& block) {
    const auto bytes = block->footprint();
    if (bytes > config.cache_bytes || by_id.contains(id)) return;
    recent.push_front(Cached{.id = id, .block = block, .bytes = bytes});
    by_id.emplace(id, recent.begin());
    cached_bytes += bytes;
    while (cached_bytes > config.cache_bytes) {
        cached_bytes -= recent.back().bytes;
        by_id.erase(recent.back().id);
        recent.pop_back();
    }
}

base::Task<base::Result<base::SharedBytes>> BlockReader::State::get(std::shared_ptr<State> self, BlockRefPtr ref,
                                                                    std::shared_ptr<Flight> flight) {
    constexpr std::chrono::milliseconds kPause{250};
    auto& clock = self->env.clock;
    const auto group = group_of(self->volume_tag, ref->group_bits, ref->id);
    const auto began = clock.now();
    for (;;) {
        auto bytes = co_await self->storage.get(group, ref->id, clock.now() + self->config.get_timeout);
        const bool again = !bytes && may_succeed_later(bytes.error().code()) && flight->waiting > 0 &&
                           clock.now() - began < self->patience;
        if (!again) co_return bytes;
        co_await clock.sleep_for(kPause);
    }
}

base::Task<base::Result<OpenedPtr>> BlockReader::State::fetch_and_open(std::shared_ptr<State> self, BlockRefPtr ref,
                                                                       std::shared_ptr<Flight> flight) {
    auto bytes = co_await get(self, ref, std::move(flight));
    if (!bytes) {
        const auto& error = bytes.error();
        if (error == past::Errc::block_not_found || error == past::Errc::corrupt_block) {
            co_return base::Error{Errc::damaged, "block " + ref->id.hex() + ": " + error.message()};
        }
        co_return error.with("block " + ref->id.hex());
    }
    ++self->fetched;
    // Storage has compared them with the id.
    auto job = [ref, tag = self->volume_tag, sealed = *std::move(bytes)] {
        return open_block(*ref, tag, sealed, /*check_id=*/false);
    };
    BASE_CO_TRY(auto opened, co_await self->env.workers.run(std::move(job)));
    co_return std::make_shared<const OpenedBlock>(std::move(opened));
}

base::Task<void> BlockReader::State::fetch(std::shared_ptr<State> self, BlockRefPtr ref,
                                           std::shared_ptr<Flight> flight) {
    try {
        flight->result = co_await fetch_and_open(self, ref, flight);
        if (*flight->result) self->remember(ref->id, **flight->result);
    } catch (...) {
        flight->failure = std::current_exception();
    }
    self->flights.erase(ref->id);
    flight->arrived.set();
}

std::shared_ptr<BlockReader::State::Flight> BlockReader::State::start(const std::shared_ptr<State>& self,
                                                                      const BlockRefPtr& ref) {
    if (const auto found = flights.find(ref->id); found != flights.end()) return found->second;
    auto flight = std::make_shared<Flight>(env.executor);
    flights.emplace(ref->id, flight);
    fetching.spawn(fetch(self, ref, flight));
    return flight;
}

BlockReader::BlockReader(base::NodeEnv env, past::Storage& storage, base::Guid volume_tag, ReaderConfig config)
    : state_{std::make_shared<State>(env, storage, volume_tag, config)} {}

BlockReader::~BlockReader() { state_->fetching.cancel(); }

void BlockReader::set_patience(base::Duration patience) { state_->patience = patience; }
const base::Guid& BlockReader::volume_tag() const { return state_->volume_tag; }
std::uint64_t BlockReader::blocks_fetched() const { return state_->fetched; }

base::Task<base::Result<OpenedPtr>> BlockReader::read(BlockRefPtr ref) {
    const auto state = state_;
    auto block = state->cached(ref->id);
    if (block == nullptr) {
        const auto flight = state->start(state, ref);
        const Waiting waiting{flight->waiting};
        co_await flight->arrived.wait();
        if (flight->failure) std::rethrow_exception(flight->failure);
        if (!*flight->result) co_return flight->result->error();
        block = **flight->result;
    }
    if (block->type != ref->type) {
        co_return base::Error{Errc::damaged, "block " + ref->id.hex() + ": another type than its parent says"};
    }
    co_return block;
}

void BlockReader::prefetch(BlockRefPtr ref) {
    if (state_->cached(ref->id) == nullptr) (void)state_->start(state_, ref);
}

}  // namespace objstore
