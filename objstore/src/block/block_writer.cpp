#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <utility>

#include "base/crypto.hpp"
#include "base/limits.hpp"
#include "base/task_group.hpp"
#include "objstore/block_io.hpp"

namespace objstore {
namespace {

struct Batch {
    std::vector<past::Block> blocks;
    std::size_t bytes = 0;
};

}  // namespace

// Shared with the puts under way, which may end after the writer.
struct BlockWriter::State {
    State(base::NodeEnv doors, past::Storage& store, SealContext seal, past::Tag session, past::Wait until,
          WriterConfig limits)
        : env{doors},
          storage{store},
          context{std::move(seal)},
          spare_context{context},
          tag{std::move(session)},
          wait{until},
          config{limits},
          progress{env.executor},
          sending{env.executor} {
        spare_context.dedup_key = base::derive_key(context.dedup_key, "pelago spare block");
    }

    static base::Task<void> send(std::shared_ptr<State> self, base::Guid group, Batch batch);
    void dispatch(const std::shared_ptr<State>& self, std::map<base::Guid, Batch>::iterator at);
    void dispatch_largest(const std::shared_ptr<State>& self);
    void dispatch_all(const std::shared_ptr<State>& self);
    void note(const base::Result<past::PutOutcome>& outcome);
    /// True after an error; throws after an exception.
    [[nodiscard]] bool stopped() const;
    [[nodiscard]] std::size_t pending_bytes() const { return queued_bytes + flying_bytes; }

    base::NodeEnv env;
    past::Storage& storage;
    SealContext context;
    SealContext spare_context;
    past::Tag tag;
    past::Wait wait;
    WriterConfig config;

    std::map<base::Guid, Batch> queued;  // by group
    std::size_t queued_bytes = 0;
    std::size_t flying_bytes = 0;
    WriteTotals totals;
    std::optional<base::Error> error;  // the first; it stays
    std::exception_ptr failure;        // likewise: cancelled, or out of memory
    std::optional<past::PutOutcome> worst;
    base::Event progress;  // pulsed whenever a put ends
    base::TaskGroup sending;
};

base::Task<void> BlockWriter::State::send(std::shared_ptr<State> self, base::Guid group, Batch batch) {
    const auto bytes = batch.bytes;
    const auto deadline = self->env.clock.now() + self->config.put_timeout;
    try {
        auto outcome = co_await self->storage.put(group, self->tag, std::move(batch.blocks), self->wait, deadline);
        self->note(outcome);
    } catch (...) {
        if (!self->failure) self->failure = std::current_exception();
    }
    self->flying_bytes -= bytes;
    self->progress.pulse();
}

void BlockWriter::State::note(const base::Result<past::PutOutcome>& outcome) {
    if (!outcome) {
        if (!error) error = outcome.error();
    } else if (!worst) {
        worst = *outcome;
    } else {
        worst->copies_wanted = std::max(worst->copies_wanted, outcome->copies_wanted);
        worst->copies_stored = std::min(worst->copies_stored, outcome->copies_stored);
        worst->copies_possible = std::max(worst->copies_possible, outcome->copies_possible);
    }
}

bool BlockWriter::State::stopped() const {
    if (failure) std::rethrow_exception(failure);
    return error.has_value();
}

void BlockWriter::State::dispatch(const std::shared_ptr<State>& self, std::map<base::Guid, Batch>::iterator at) {
    const auto group = at->first;
    auto batch = std::move(at->second);
    queued.erase(at);
    queued_bytes -= batch.bytes;
    flying_bytes += batch.bytes;
    sending.spawn(send(self, group, std::move(batch)));
}

void BlockWriter::State::dispatch_largest(const std::shared_ptr<State>& self) {
    const auto largest = std::max_element(queued.begin(), queued.end(),
                                          [](const auto& a, const auto& b) { return a.second.bytes < b.second.bytes; });
    if (largest != queued.end()) dispatch(self, largest);
}

void BlockWriter::State::dispatch_all(const std::shared_ptr<State>& self) {
    while (!queued.empty()) dispatch(self, queued.begin());
}

BlockWriter::BlockWriter(base::NodeEnv env, past::Storage& storage, SealContext context, past::Tag tag, past::Wait wait,
                         WriterConfig config)
    : state_{std::make_shared<State>(env, storage, std::move(context), std::move(tag), wait, config)} {}

BlockWriter::~BlockWriter() { state_->sending.cancel(); }

const SealContext& BlockWriter::context() const { return state_->context; }
const past::Tag& BlockWriter::tag() const { return state_->tag; }
WriteTotals BlockWriter::totals() const { return state_->totals; }

base::Task<base::Result<BlockRefPtr>> BlockWriter::write(BlockType type, std::vector<BlockRefPtr> children,
                                                         base::Bytes packed, base::Bytes raw) {
    return seal_and_put(false, type, std::move(children), std::move(packed), std::move(raw));
}

base::Task<base::Result<BlockRefPtr>> BlockWriter::write_spare(BlockType type, std::vector<BlockRefPtr> children,
                                                               base::Bytes packed, base::Bytes raw) {
    return seal_and_put(true, type, std::move(children), std::move(packed), std::move(raw));
}

base::Task<base::Result<BlockRefPtr>> BlockWriter::seal_and_put(bool spare, BlockType type,
                                                                std::vector<BlockRefPtr> children, base::Bytes packed,
                                                                base::Bytes raw) {
    const auto state = state_;
    auto job = [&context = spare ? state->spare_context : state->context, type, children = std::move(children),
                packed = std::move(packed), raw = std::move(raw)] {
        const BlockContent content{.packed = packed, .raw = raw};
        return seal_block(context, type, children, content);
    };
    BASE_CO_TRY(auto sealed, co_await state->env.workers.run(std::move(job)));
    auto ref = std::make_shared<const BlockRef>(sealed.ref);
    BASE_CO_CHECK(co_await put(std::move(sealed)));
    co_return ref;
}

base::Task<base::Result<void>> BlockWriter::put(SealedBlock block) {
    const auto state = state_;
    const auto size = block.bytes.size();
    while (!state->stopped() && state->pending_bytes() != 0 &&
           state->pending_bytes() + size > state->config.max_pending_bytes) {
        if (state->flying_bytes == 0) state->dispatch_largest(state);
        co_await state->progress.wait();
    }
    if (state->stopped()) co_return *state->error;

    const auto group = group_of(state->context.volume_tag, block.ref.group_bits, block.ref.id);
    auto at = state->queued.try_emplace(group).first;
    if (at->second.bytes + size > base::kMaxPayloadBytes) {
        state->dispatch(state, at);
        at = state->queued.try_emplace(group).first;
    }
    past::Block out;
    out.id = block.ref.id;
    out.bytes = std::move(block.bytes);
    at->second.blocks.push_back(std::move(out));
    at->second.bytes += size;
    state->queued_bytes += size;
    ++state->totals.blocks;
    state->totals.bytes += size;

    const bool full = at->second.blocks.size() == past::kMaxBlocksPerRequest;
    if (full || at->second.bytes >= state->config.batch_bytes) {
        state->dispatch(state, at);
    } else if (state->queued_bytes > state->config.max_pending_bytes / 2) {
        state->dispatch_largest(state);  // many groups, none full: keep the network busy
    }
    co_return base::ok();
}

base::Task<base::Result<past::PutOutcome>> BlockWriter::flush() {
    const auto state = state_;
    while (!state->stopped() && state->pending_bytes() != 0) {
        state->dispatch_all(state);
        if (state->pending_bytes() != 0) co_await state->progress.wait();
    }
    if (state->stopped()) co_return *state->error;
    co_return state->worst.value_or(past::PutOutcome{});
}

}  // namespace objstore
