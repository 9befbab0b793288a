#include "past/node.hpp"

#include <algorithm>

#include "cache/block_cache.hpp"
#include "context.hpp"
#include "divert/diverter.hpp"
#include "reclaim/lister.hpp"
#include "reclaim/reclaims.hpp"
#include "registers/registers.hpp"
#include "repair/misplaced.hpp"
#include "repair/repair.hpp"
#include "repair/scrub.hpp"
#include "replication/batch.hpp"
#include "replication/holders.hpp"
#include "replication/reader.hpp"
#include "replication/writer.hpp"
#include "server.hpp"

namespace past {

using base::Guid;
using base::Result;
using base::Task;
using base::TimePoint;

// --- membership

MembershipView::MembershipView(base::Policy policy, base::Roster roster)
    : policy_{std::move(policy)}, roster_{std::move(roster)}, copies_{base::effective_copies(policy_, roster_)} {}

unsigned MembershipView::min_copies() const { return std::min<unsigned>(policy_.min_copies, copies()); }

unsigned MembershipView::copies_wanted() const {
    return roster_.members.empty() ? 1 : std::max<unsigned>(policy_.copies, 1);
}

void MembershipView::replace(base::Policy policy, base::Roster roster) {
    policy_ = std::move(policy);
    roster_ = std::move(roster);
    copies_ = base::effective_copies(policy_, roster_);
    if (on_change_) on_change_();
}

// --- the parts

namespace {

RequestKind kind_of(const base::Message& message) {
    switch (static_cast<Verb>(message.verb())) {
        case Verb::store: return RequestKind::peer_store;
        case Verb::fetch: return RequestKind::peer_fetch;
        case Verb::touch: return RequestKind::peer_touch;
        case Verb::query:
        case Verb::prepare:
        case Verb::accept: return RequestKind::peer_record;
        case Verb::compare:
        case Verb::ranges:
        case Verb::offer: return RequestKind::peer_repair;
        default: return RequestKind::peer_other;
    }
}

}  // namespace

struct Node::Parts final : pastry::Application, std::enable_shared_from_this<Node::Parts> {
    Parts(base::NodeEnv env, pastry::Kbr& kbr, BlockStore& disk, MembershipView& membership, RecordVerifier verifier,
          Config config)
        : store{env.executor, disk, diverter, {config.divert_primary, config.keep_diverted}},
          context{env, kbr, store, membership, std::move(verifier), config},
          holders{context},
          diverter{context, holders, store},
          reclaims{context},
          registers{context, holders},
          repair{context, holders, registers, store.pointers()},
          cache{context},
          misplaced{context},
          reader{context, holders, misplaced, cache},
          writer{context, holders, reclaims},
          lister{context, holders, reclaims},
          server{context, holders, reclaims, lister, registers, store, diverter, cache},
          scrub{context, disk, store},
          idle{env.executor} {
        idle.set();
    }

    void start() {
        misplaced.add_source([this](std::set<Guid>& groups) {
            for (const auto& [group, entries] : store.diverted_replicas().by_group()) groups.insert(group);
            cache.add_groups(groups);
            for (const auto& group : repair.misplaced()) groups.insert(group);
        });
        store.load();
        registers.load();
        reclaims.load();
        context.env.transport.serve(base::Service::past,
                                    [weak = weak_from_this()](base::Peer from, base::Message message) {
                                        return answer(weak.lock(), std::move(from), std::move(message));
                                    },
                                    {});
        context.kbr.attach(base::Service::past, this);
        context.membership.on_change([weak = weak_from_this()] {
            if (const auto parts = weak.lock()) parts->membership_changed();
        });
        context.work.spawn(reclaims.run());
        context.work.spawn(registers.settle());
        context.work.spawn(store.tidy());
        context.work.spawn(scrub.run());
        if (context.config.repair) {
            context.work.spawn(repair.run());
            context.work.spawn(diverter.run());
            context.work.spawn(misplaced.run());
            context.work.spawn(keep_cache());
        }
    }

    /// Space that nobody else wants, and never so much that what is to be stored meanwhile would miss it.
    Task<void> keep_cache() {
        const auto& config = context.config;
        const auto limit = [this, &config] { return std::min(config.max_cache_bytes, store.room() / 2); };
        cache.fit(limit());
        co_await cache.load();
        for (;;) {
            co_await context.env.clock.sleep_for(config.cache_period);
            cache.fit(limit());
        }
    }

    void detach() {
        if (stopped) return;
        stopped = true;
        misplaced.use(nullptr);
        context.env.transport.serve(base::Service::past, {}, {});
        context.kbr.attach(base::Service::past, nullptr);
        context.membership.on_change({});
        context.work.cancel();
    }

    void membership_changed() {
        const bool was_settled = registers.settled();
        registers.membership_changed();
        if (was_settled && !registers.settled()) context.work.spawn(registers.settle());
        repair.kick();
    }

    /// Counts how long it lived as the time of one request.
    class Timed {
      public:
        Timed(Parts& parts, RequestKind kind) : parts_{parts}, kind_{kind}, began_{parts.context.now()} {}
        ~Timed() {
            parts_.context.counters.times[static_cast<std::size_t>(kind_)].count(parts_.context.now() - began_);
        }
        Timed(const Timed&) = delete;
        Timed& operator=(const Timed&) = delete;

      private:
        Parts& parts_;
        RequestKind kind_;
        TimePoint began_;
    };

    /// Keeps the parts alive while a request of another peer is worked on.
    static Task<Result<base::Message>> answer(std::shared_ptr<Parts> parts, base::Peer from, base::Message message) {
        if (!parts || parts->stopped) co_return base::Errc::stopped;
        if (parts->serving++ == 0) parts->idle.reset();
        std::exception_ptr failure;
        std::optional<Result<base::Message>> answered;
        try {
            const Timed timed{*parts, kind_of(message)};
            answered = co_await parts->server.answer(std::move(from), std::move(message));
        } catch (...) {
            failure = std::current_exception();
        }
        if (--parts->serving == 0) parts->idle.set();
        if (failure) std::rethrow_exception(failure);
        co_return std::move(*answered);
    }

    /// Keeps the parts alive until it is done, also if the node is gone before.
    template <class T>
    static Task<T> keep([[maybe_unused]] std::shared_ptr<Parts> parts, Task<T> task) {
        co_return co_await std::move(task);
    }
    template <class T>
    static Task<T> keep_time(std::shared_ptr<Parts> parts, RequestKind kind, Task<T> task) {
        const Timed timed{*parts, kind};
        co_return co_await std::move(task);
    }

    /// The same, and repair gives way to it.
    template <class T>
    static Task<T> for_client(std::shared_ptr<Parts> parts, RequestKind kind, Task<T> task) {
        const Timed timed{*parts, kind};
        const PriorityThrottle::Call call{parts->context.priority_throttle};
        co_return co_await std::move(task);
    }

    static Task<Result<std::vector<Holder>>> all_holders(std::shared_ptr<Parts> parts, Guid group, TimePoint deadline);

    // pastry::Application
    void deliver(const Guid&, const pastry::NodeHandle&, base::Message, unsigned) override {}  // nothing is routed here
    void update(const pastry::NodeHandle& node, bool joined) override {
        if (!joined) {
            context.calls.left(node.id());
            diverter.left(node.id());
        }
        repair.kick();
    }

    DivertingStore store;
    Context context;
    Holders holders;
    Diverter diverter;
    Reclaims reclaims;
    Registers registers;
    Repair repair;
    BlockCache cache;
    MisplacedCopies misplaced;
    Reader reader;
    Writer writer;
    Lister lister;
    Server server;
    Scrub scrub;
    base::Event idle;  // no request of others is being served
    std::size_t serving = 0;
    bool stopped = false;
};

Node::Node(base::NodeEnv env, pastry::Kbr& kbr, BlockStore& store, MembershipView& membership, RecordVerifier verifier,
           Config config)
    : parts_{std::make_shared<Parts>(env, kbr, store, membership, std::move(verifier), config)} {
    parts_->start();
}

Node::~Node() { parts_->detach(); }

Task<void> Node::stop() {
    const auto parts = parts_;
    parts->detach();
    co_await parts->context.work.join();
    co_await parts->idle.wait();
    co_await parts->reader.ended();
}

Task<Result<PutOutcome>> Node::put(Guid group, Tag tag, std::vector<Block> blocks, Wait wait, TimePoint deadline) {
    return Parts::for_client(parts_, RequestKind::put,
                             parts_->writer.put(group, tag, std::move(blocks), wait, deadline));
}
Task<Result<base::SharedBytes>> Node::get(Guid group, Guid id, TimePoint deadline) {
    return Parts::for_client(parts_, RequestKind::get, parts_->reader.get(group, id, deadline));
}
Task<Result<std::vector<bool>>> Node::touch(Guid group, Tag tag, std::vector<Guid> ids, TimePoint deadline) {
    return Parts::for_client(parts_, RequestKind::touch, parts_->writer.touch(group, tag, std::move(ids), deadline));
}
Task<Result<void>> Node::remove(Reclaim reclaim, TimePoint deadline) {
    return Parts::keep(parts_, parts_->writer.remove(std::move(reclaim), deadline));
}
Task<Result<TaggedBlocks>> Node::list(BlockQuery query, Guid after, TimePoint deadline) {
    return Parts::keep(parts_, parts_->lister.list(query, after, deadline));
}
Task<Result<std::optional<Record>>> Node::read_record(Guid key, TimePoint deadline) {
    return Parts::keep_time(parts_, RequestKind::read_record, parts_->registers.read(key, deadline));
}
Task<Result<ShownRecord>> Node::read_any_record(Guid key, TimePoint deadline) {
    return Parts::keep(parts_, parts_->registers.read_any(key, deadline));
}
Task<Result<void>> Node::write_record(Guid key, std::uint64_t expected, Record next, TimePoint deadline) {
    return Parts::keep_time(parts_, RequestKind::write_record,
                            parts_->registers.write(key, expected, std::move(next), deadline));
}
Task<Result<void>> Node::restore_record(Guid key, Record lost, TimePoint /*deadline: nobody else is asked*/) {
    return Parts::keep(parts_, parts_->registers.restore(key, std::move(lost)));
}

Task<Result<std::vector<Holder>>> Node::holders(Guid group, TimePoint deadline) {
    return Parts::all_holders(parts_, group, deadline);
}

Task<Result<std::vector<Holder>>> Node::Parts::all_holders(std::shared_ptr<Parts> parts, Guid group,
                                                           TimePoint deadline) {
    BASE_CO_TRY(const auto set, co_await parts->holders.find(group, parts->context.membership.copies(), deadline));
    auto holders = set.placement;
    for (const auto& node : set.writers) {
        if (!set.placed_on(node.id())) holders.push_back({node, true, true});
    }
    co_return holders;
}

NodeStatus Node::status() const {
    auto& parts = *parts_;
    NodeStatus status = parts.context.counters;
    const auto usage = parts.context.store.usage();
    status.copies = parts.context.membership.copies();
    status.copies_wanted = parts.context.membership.copies_wanted();
    status.min_copies = parts.context.membership.min_copies();
    status.blocks = usage.blocks;
    status.bytes = usage.block_bytes;
    status.blocks_diverted = parts.store.pointers().blocks();
    status.blocks_for_others = parts.store.diverted_replicas().blocks();
    status.bytes_for_others = parts.store.diverted_replicas().bytes();
    status.blocks_cached = parts.cache.blocks();
    status.bytes_cached = parts.cache.bytes();
    status.groups_published = parts.misplaced.published();
    status.blocks_lost = usage.lost_blocks;
    status.registers = parts.registers.count();
    status.registers_without_majority = parts.registers.without_majority();
    status.registers_missing = parts.registers.missing();
    status.pending_reclaims = parts.reclaims.pending();
    parts.repair.report(status);
    parts.scrub.report(status);
    return status;
}

void Node::use(tapestry::Dolr* dolr) { parts_->misplaced.use(dolr); }
std::vector<Guid> Node::misplaced() const { return parts_->repair.misplaced(); }

std::vector<base::Address> Node::said_to_have(const Guid& group) const {
    return parts_->context.hints.for_group(group);
}

void Node::check_now() { parts_->repair.kick(); }

}  // namespace past
