-- Small programs whose results are known, run until LuaJIT has compiled them. Each prints its name, its result and, to standard
-- error, its seconds.
local function fib(n)
  if n < 2 then return n end
  return fib(n - 1) + fib(n - 2)
end

local function sieve(limit)
  local composite, count = {}, 0
  for i = 2, limit do
    if not composite[i] then
      count = count + 1
      for j = i * i, limit, i do composite[j] = true end
    end
  end
  return count
end

-- The Jovian planets of the Computer Language Benchmarks Game, in years and solar masses.
local function energy(bodies)
  local e = 0
  for i, a in ipairs(bodies) do
    e = e + 0.5 * a.m * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz)
    for j = i + 1, #bodies do
      local b = bodies[j]
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      e = e - a.m * b.m / math.sqrt(dx * dx + dy * dy + dz * dz)
    end
  end
  return e
end
local function advance(bodies, dt)
  for i = 1, #bodies do
    local a = bodies[i]
    for j = i + 1, #bodies do
      local b = bodies[j]
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      local d2 = dx * dx + dy * dy + dz * dz
      local mag = dt / (d2 * math.sqrt(d2))
      a.vx, a.vy, a.vz = a.vx - dx * b.m * mag, a.vy - dy * b.m * mag, a.vz - dz * b.m * mag
      b.vx, b.vy, b.vz = b.vx + dx * a.m * mag, b.vy + dy * a.m * mag, b.vz + dz * a.m * mag
    end
  end
  for _, a in ipairs(bodies) do
    a.x, a.y, a.z = a.x + dt * a.vx, a.y + dt * a.vy, a.z + dt * a.vz
  end
end
local function nbody(steps)
  local bodies = {
    { x = 0, y = 0, z = 0, vx = 0, vy = 0, vz = 0, m = 39.4 },
    { x = 4.84, y = -1.16, z = -0.1, vx = 0.6, vy = 2.81, vz = -0.02, m = 0.037 },
    { x = 8.34, y = 4.12, z = -0.4, vx = -1.01, vy = 1.81, vz = 0.008, m = 0.011 },
    { x = 12.89, y = -15.11, z = -0.22, vx = 1.08, vy = 0.86, vz = -0.01, m = 0.0017 },
    { x = 15.37, y = -25.91, z = 0.17, vx = 0.97, vy = 0.59, vz = -0.03, m = 0.002 },
  }
  for _ = 1, steps do advance(bodies, 0.01) end
  return string.format('%.17g', energy(bodies))
end

local function strings(count)
  local words = {}
  for i = 1, count do
    words[i] = string.format('%05d:%s', (i * 7919) % count, ('x'):rep(i % 7))
  end
  table.sort(words)
  local text = table.concat(words, ','):gsub('x+', string.upper):reverse()
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 4294967291 end
  return #text .. ' ' .. sum
end

local function bits(count)
  local bit, x = require('bit'), 1
  for i = 1, count do
    x = bit.bxor(x, bit.lshift(x, 13))
    x = bit.bxor(x, bit.rshift(x, 17))
    x = bit.tobit(bit.bxor(x, bit.lshift(x, 5)) + i)
  end
  return bit.tohex(x)
end

local function foreign(count)
  local ffi = require('ffi')
  ffi.cdef('typedef struct { double re, im; uint64_t n; } point;')
  local points = ffi.new('point[?]', 256)
  local sum = 0ULL
  for i = 0, count - 1 do
    local p = points[i % 256]
    p.re, p.im, p.n = p.im + i, p.re * 0.5, p.n * 6364136223846793005ULL + i
    sum = sum + p.n
  end
  return tostring(sum) .. ' ' .. string.format('%.17g', points[17].re)
end

local function matrix(n)
  local function make(k)
    local m = {}
    for i = 1, n do
      m[i] = {}
      for j = 1, n do m[i][j] = (i - j) * (i + j) / (n * n) * k end
    end
    return m
  end
  local a, b, trace = make(1), make(2), 0
  for i = 1, n do
    for j = 1, n do
      local sum = 0
      for k = 1, n do sum = sum + a[i][k] * b[k][j] end
      if i == j then trace = trace + sum end
    end
  end
  return string.format('%.17g', trace)
end

local function coroutines(count)
  local function numbers(n)
    return coroutine.wrap(function()
      for i = 1, n do coroutine.yield(i * i % 1009) end
    end)
  end
  local sum = 0
  for v in numbers(count) do sum = sum + v end
  return sum
end

local scale = tonumber(arg and arg[1]) or 1
for _, program in ipairs({
  { 'fib', fib, 24 + scale },
  { 'sieve', sieve, 200000 * scale },
  { 'nbody', nbody, 20000 * scale },
  { 'strings', strings, 20000 * scale },
  { 'bits', bits, 3000000 * scale },
  { 'foreign', foreign, 1000000 * scale },
  { 'matrix', matrix, 80 * scale },
  { 'coroutines', coroutines, 100000 * scale },
}) do
  local start = os.clock()
  print(program[1], program[2](program[3]))
  io.stderr:write(string.format('SECONDS %s %.2f\n', program[1], os.clock() - start))
end
