// Several questions under way at once, and one who waits until enough of them are answered.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/task_group.hpp"
#include "base/wait.hpp"

namespace past {

/// Shared by the asker and the tasks, which may outlive the asker's interest.
template <class T>
struct Gather {
    explicit Gather(base::Executor executor) : changed{std::move(executor)} {}

    std::vector<std::optional<T>> answers;  ///< by the index that spawn() returned
    std::size_t pending = 0;
    base::Event changed;
};

template <class T>
base::Task<void> answer_into(std::shared_ptr<Gather<T>> gather, std::size_t index, base::Task<T> task) {
    auto value = co_await std::move(task);
    gather->answers[index].emplace(std::move(value));
    --gather->pending;
    gather->changed.pulse();
}

template <class T>
std::size_t spawn(base::TaskGroup& group, const std::shared_ptr<Gather<T>>& gather, base::Task<T> task) {
    const auto index = gather->answers.size();
    gather->answers.emplace_back();
    ++gather->pending;
    group.spawn(answer_into(gather, index, std::move(task)));
    return index;
}

/// Resumes at the next answer, or once now() >= until.
template <class T>
base::Task<void> next_answer(base::Clock& clock, std::shared_ptr<Gather<T>> gather, base::TimePoint until) {
    return base::wait_until(clock, std::shared_ptr<base::Event>{gather, &gather->changed}, until);
}

}  // namespace past
