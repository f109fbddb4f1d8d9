"""A few sentences of nobody's, for training that must come before anything private."""

SENTENCES = (
    "The ferry leaves the harbour at noon and returns before dark.",
    "Water boils at a lower temperature in the mountains.",
    "She repaired the old clock with a spring from a toy.",
    "Most of the bread in town comes from two small bakeries.",
    "The committee will publish its report next spring.",
    "A good map shows the hills as well as the roads.",
    "He planted apple trees along the northern wall.",
    "The museum is closed on Mondays and on public holidays.",
    "Rain is expected in the west, with sunshine later in the day.",
    "The bridge was built of stone from a quarry nearby.",
    "Please return the books to the library by Friday.",
    "Two teams from the coast reached the final this year.",
)
